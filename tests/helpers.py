"""Small settings that the tests of training share."""

from diffgeo import datasets
from diffgeo.grid import Grid
from diffgeo.mapping import Layout
from diffgeo.settings import Data, Diffusion, Evaluation, Model, Settings, Train

EMA_DECAY = 0.9


def tiny(**axes) -> Settings:
    """The narrowest network on 8 x 8 images; every test of training compiles this one program."""
    return Settings(
        model=Model(base_channels=4, embedding=24),
        data=Data(size=8),
        diffusion=Diffusion(timesteps=20),
        train=Train(steps=40, batch=4, learning_rate=2e-3, ema_decay=EMA_DECAY),
        evaluation=Evaluation(every=10, count=6, sampler_steps=3, keep=4),
        axes=axes or {"seed": (0,)},
    )


def mapped(members, layout: Layout = Layout(mapping="loop"), devices=None, rows: int = 1024):
    """Members on the given devices, by default one, with tables of one padded length so that programs are shared."""
    import jax

    return layout.over(members, rows, jax.devices()[:1] if devices is None else devices)


def members_of(settings: Settings):
    """All members of a grid."""
    return Grid(settings).members


def table_of(settings: Settings, **coordinates) -> datasets.Table:
    """Label table at one point of a grid."""
    return datasets.build(settings.at(**coordinates).data)
