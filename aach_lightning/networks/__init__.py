"""Pure nn.Modules: image backbones, text encoders and the HashingNetwork made of them."""
