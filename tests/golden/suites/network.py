"""A network of the user's with layers of the method's and normalisation by batch."""

from torch import nn


def network(task, layers):
    """Build one convolution and two dense layers."""
    return nn.Sequential(
        layers.conv(task.input_shape[0], 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        layers.before_dense(),
        layers.linear(64, 8),
        nn.ReLU(),
        layers.before_last(),
        layers.linear(8, task.likelihood.parameters),
    )
