"""One trained model: sampled anywhere, edited, and looked into at any layer and diffusion step."""
