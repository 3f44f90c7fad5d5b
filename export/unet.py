"""The lightweight multi-scale U-Net (Ding et al. 2019): named arrays to an ONNX graph.

Room: export. Takes arrays, gives an ONNX model; touches no file.

Graph: ``image`` [1, 1, H, W] float32 grey in 0..1 -> ``mask`` [1, 1, H, W] float32 probability
of limb. H and W are static multiples of 4.

The network has two downs and two ups, five blocks in all::

    e0  = enc0(image)                               H     x W
    e1  = enc1(maxpool2(e0))                        H / 2 x W / 2
    m   = mid(maxpool2(e1))                         H / 4 x W / 4
    d1  = dec1(concat(nearest2(m),  e1))            H / 2 x W / 2     upsampled first, then the skip
    d0  = dec0(concat(nearest2(d1), e0))            H     x W
    out = sigmoid(head(d0))

``maxpool2`` is 2 x 2 with stride 2, ``nearest2`` repeats every pixel 2 x 2 (torch
``Upsample(scale_factor=2, mode="nearest")``), ``concat`` joins channels.

A block is four parallel convolutions over the same input (kernels 1, 3, 5, 7; stride 1; zero
padding k // 2; bias), joined in that order, ReLU, then a 1 x 1 convolution with bias and ReLU::

    x = relu(concat(conv1(x), conv3(x), conv5(x), conv7(x)))
    x = relu(fuse(x))

Batch normalisation in training stands right after each convolution (before the ReLU) and is folded
into weight and bias before the arrays are saved. ``head`` is 1 x 1 with bias, without
normalisation.

Arrays, float32, names as in torch's ``state_dict``; b is each of ``enc0 enc1 mid dec1 dec0``,
k each of 1, 3, 5, 7:

=====================  ====================  ======================================
name                   shape                 meaning
=====================  ====================  ======================================
``{b}.conv{k}.weight`` [c_b, in_b, k, k]     branch, c_b channels each
``{b}.conv{k}.bias``   [c_b]
``{b}.fuse.weight``    [w_b, 4 c_b, 1, 1]    joins the branches to w_b channels
``{b}.fuse.bias``      [w_b]
``head.weight``        [1, w_dec0, 1, 1]
``head.bias``          [1]
=====================  ====================  ======================================

in_b follows: enc0 1, enc1 w_enc0, mid w_enc1, dec1 w_mid + w_enc1, dec0 w_dec1 + w_enc0. Widths are
read off the arrays, so training is free to choose them. The default is base 8:
c = w = 8 (enc0, dec0), 16 (enc1, dec1), 32 (mid).
"""
