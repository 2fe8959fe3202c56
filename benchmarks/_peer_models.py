"""PyTorch twins of the networks that are timed: same layers, same parameter counts."""

import torch
from _torchvision import import_torchvision
from torch import nn


def lenet(activation: type[nn.Module], pool: type[nn.Module]) -> nn.Module:
    """LeNet on 28x28x1 images, as `models/classification/lenet.py` has it; 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        activation(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        activation(),
        pool(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        activation(),
        nn.Linear(120, 84),
        activation(),
        nn.Linear(84, 10),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, features: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(features)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != features:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, features, 1, stride, bias=False), nn.BatchNorm2d(features)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [batch, inputs, h, w] to [batch, features, h / stride, w / stride]."""
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet18_cifar() -> nn.Module:
    """ResNet-18 with a 3x3 stem on 32x32x3 images; 11,173,962 parameters."""
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    inputs = 64
    for features, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(inputs, features, stride), BasicBlock(features, features, 1)]
        inputs = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class BottleneckBlock(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution and a shortcut."""

    def __init__(self, inputs: int, features: int, stride: int):
        super().__init__()
        outputs = 4 * features
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, features, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, stride, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [batch, inputs, h, w] to [batch, 4 * features, h / stride, w / stride]."""
        return nn.functional.relu(self.branch(x) + self.shortcut(x))


def resnet50() -> nn.Module:
    """ResNet-50 on 224x224x3 images; 23,528,522 parameters for 10 classes."""
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for features, stride, blocks in ((64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)):
        for number in range(blocks):
            layers.append(BottleneckBlock(inputs, features, stride if number == 0 else 1))
            inputs = 4 * features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 10))


def double_conv(inputs: int, features: int) -> nn.Module:
    """Two 3x3 convolutions, each with batch norm and ReLU."""
    layers = []
    for channels in (inputs, features):
        layers += [
            nn.Conv2d(channels, features, 3, padding=1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net with batch norm and transposed convolutions; 31,038,218 parameters for 10 classes."""

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512, 1024)):
        super().__init__()
        self.down = nn.ModuleList(map(double_conv, (3, *widths[:-1]), widths))
        self.pool = nn.MaxPool2d(2)
        coarse_to_fine = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in coarse_to_fine)
        self.merge = nn.ModuleList(double_conv(a, b) for a, b in coarse_to_fine)
        self.logits = nn.Conv2d(widths[0], 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [batch, 3, h, w] to [batch, 10, h, w]; h and w are multiples of 16."""
        skips = []
        for down in self.down:
            x = down(self.pool(x) if skips else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return self.logits(x)


def of_torchvision(name: str) -> nn.Module:
    """A network of torchvision with new weights, for 10 classes."""
    return getattr(import_torchvision("models"), name)(weights=None, num_classes=10)


MODELS = {
    "lenet": lambda: lenet(nn.Sigmoid, nn.AvgPool2d),
    "lenet_relu": lambda: lenet(nn.ReLU, nn.MaxPool2d),
    "resnet18": resnet18_cifar,
    "resnet50": resnet50,
    "unet": UNet,
    "mobilenet_v2": lambda: of_torchvision("mobilenet_v2"),
    "efficientnet_b0": lambda: of_torchvision("efficientnet_b0"),
    "convnext_tiny": lambda: of_torchvision("convnext_tiny"),
}
