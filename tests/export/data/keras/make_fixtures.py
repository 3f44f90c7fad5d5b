"""Makes the Keras files in this folder with Keras itself: run it under Keras 2 and under Keras 3.

    python make_fixtures.py FOLDER

Each model is saved whole, ``.h5`` and ``.keras``, with an image and Keras's own answer.
"""

import sys
from pathlib import Path

import numpy as np

try:
    import keras
except ImportError:
    from tensorflow import keras

KERAS = int(keras.__version__.split(".")[0])
L = keras.layers


def unet():
    """Transposed and resized ways up, SAME paddings of even and odd sizes, a frozen part."""
    image = L.Input((20, 28, 1), name="film")
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="conv2")(image)
    skip = L.Conv2D(5, 2, padding="same", use_bias=False, name="conv10")(x)
    skip = L.BatchNormalization(name="norm")(skip)
    skip = L.LeakyReLU(name="leaky")(skip)
    x = L.MaxPooling2D(3, strides=2, padding="same")(skip)
    x = L.SeparableConv2D(6, 3, padding="same", activation="tanh", name="separable")(x)
    x = L.BatchNormalization(scale=False, name="unscaled")(x)
    frozen = L.Conv2D(6, 3, strides=2, padding="same", activation="elu", name="frozen")
    deep = frozen(x)
    frozen.trainable = False
    deep = L.DepthwiseConv2D(3, dilation_rate=2, padding="same", depth_multiplier=2)(deep)
    deep = L.Dropout(0.5)(deep)
    up = L.Conv2DTranspose(5, 3, strides=2, padding="same", name="up")(deep)
    x = L.Concatenate()([up, x])
    x = L.Activation("swish")(x)
    x = L.UpSampling2D(2, interpolation="bilinear")(x)
    x = L.Conv2D(5, 1, name="narrow")(x)
    x = L.Add()([x, skip])
    x = L.UpSampling2D((1, 1))(x)
    x = L.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
    return keras.Model(image, x), (20, 28, 1)


def scorer():
    """A frozen nested trunk, then dense layers with normalisation: trainable ones come first."""
    inner = L.Input((12, 10, 3))
    y = L.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1")(inner)
    y = L.Conv2D(4, 3, activation="relu", name="block1_conv2")(y)
    y = L.BatchNormalization(name="block1_norm")(y)
    trunk = keras.Model(inner, y, name="trunk")
    trunk.get_layer("block1_conv1").trainable = False
    image = L.Input((12, 10, 3))
    x = trunk(image)
    pooled = L.GlobalAveragePooling2D()(x)
    flat = L.Flatten()(L.AveragePooling2D(3, strides=3, padding="same")(x))
    x = L.Concatenate()([pooled, flat])
    for width in (9, 7):
        x = L.Dense(width)(x)
        x = L.BatchNormalization()(x)
        x = L.ReLU()(x)
    outputs = [
        L.Activation("sigmoid", name=name)(L.BatchNormalization()(L.Dense(n)(x)))
        for name, n in (("erosion", 6), ("narrowing", 5))
    ]
    return keras.Model(image, outputs), (12, 10, 3)


def sequential():
    """A Sequential model with padding, cropping, transposed VALID and a nested Sequential."""
    return keras.Sequential(
        [
            L.Input((9, 7, 2)),
            L.ZeroPadding2D(((1, 2), (0, 3))),
            keras.Sequential([L.Conv2D(4, (3, 2), groups=2), L.Activation("hard_sigmoid")]),
            L.Conv2DTranspose(3, 2, strides=3, padding="valid"),
            L.Cropping2D(((1, 0), (2, 1))),
            L.AveragePooling2D(2),
            L.GlobalMaxPooling2D(),
            L.Dense(4, activation="softmax"),
        ]
    ), (9, 7, 2)


def main():
    """Write every model of this Keras into the folder."""
    folder = Path(sys.argv[1])
    for make in (unet, scorer, sequential):
        keras.utils.set_random_seed(7)
        model, shape = make()
        random = np.random.default_rng(7)
        model.set_weights(
            [
                (np.abs(w) + 0.5 if "variance" in v.name else w).astype(np.float32)
                for v, w in ((v, random.normal(0, 0.5, v.shape)) for v in model.weights)
            ]
        )
        image = random.random((2, *shape), dtype=np.float32)
        answers = model.predict(image, verbose=0)
        answers = answers if isinstance(answers, list) else [answers]
        name = f"{make.__name__}_keras{KERAS}"
        model.save(folder / f"{name}.h5")
        model.save(folder / f"{name}.keras")
        arrays = {f"answer{i}": answer for i, answer in enumerate(answers)}
        np.savez_compressed(folder / f"{name}.npz", image=image, **arrays)


main()
