"""Settings changed by assignments in text, as given by `--set=section.field=value`."""

import dataclasses
import types
import typing
from dataclasses import fields

from diffgeo.errors import UserError, require, suggestion
from diffgeo.settings.migration import AXES, SETTINGS
from diffgeo.settings.schema import Settings
from diffgeo.settings.sections import SECTIONS, field_of


def override(settings: Settings, *assignments: str) -> Settings:
    """Return settings changed by 'section.field=value' or 'axes.name=v1,v2,...', checked once all of them are made.

    Raises:
      UserError: for an unknown setting, a value of the wrong type, or one that its section refuses.
    """
    changes: dict[str, dict] = {section: {} for section in (*SECTIONS, "axes")}
    for assignment in assignments:
        section, name, value = _assigned(settings, assignment)
        changes[section][name] = value
    own = {name: changes["data"].pop(name) for name in settings.data.parameters if name in changes["data"]}
    sections = {name: dataclasses.replace(getattr(settings, name), **changes[name]) for name in SECTIONS}
    sections["data"] = sections["data"].with_parameters(own)
    return dataclasses.replace(settings, **sections, axes={**settings.axes, **changes["axes"]})


def _assigned(settings: Settings, assignment: str) -> tuple[str, str, object]:
    """Parse one assignment into section, name and value."""
    path, equals, text = assignment.partition("=")
    section, _, name = path.partition(".")
    require(bool(equals and name), f"setting {assignment!r} is not of the form section.name=value")
    name = (AXES if section == "axes" else SETTINGS.get(section, {})).get(name, name)  # names of format 1
    require(section in (*SECTIONS, "axes"), f"unknown setting {path!r}{suggestion(section, [*SECTIONS, 'axes'])}")
    own = {parameter: type(value) for parameter, value in settings.data.parameters.items()}
    if section == "axes":
        kind = int if name == "seed" else own.get(name) or field_of(name, own)[1].type
        require(all(text.split(",")), f"{path}={text!r} leaves out a value: write as {path}=1,2,3")
        return section, name, tuple(parse(part, kind, path) for part in text.split(","))
    known = {f.name: f.type for f in fields(SECTIONS[section]) if f.name != "parameters"}
    known |= own if section == "data" else {}
    require(name in known, f"unknown setting {path!r}{suggestion(name, known)}")
    require(
        name not in settings.axes,
        f"setting {path!r} is an axis of this grid: change its values by --set=axes.{name}={text}",
    )
    return section, name, parse(text, known[name], path)


def parse(text: str, kind, path: str):
    """Parse one value of the annotated type; raise a `UserError` that names the setting if it is not one."""
    kinds = typing.get_args(kind) or (kind,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds:
        require(text.lower() in ("true", "false"), f"{path}={text!r} must be true or false")
        return text.lower() == "true"
    for candidate in kinds:
        if candidate in (int, float, str):
            try:
                return candidate(text)
            except ValueError:
                continue
    wanted = " or ".join("none" if k is types.NoneType else k.__name__ for k in kinds)
    raise UserError(f"{path}={text!r} is not a number of the right kind ({wanted})")
