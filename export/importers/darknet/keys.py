"""The keys of each Darknet section: those that are read here and those that only training reads.

Layer: export; pure functions over sections. Darknet ignores a key that it does not know, so a slip
(``strid=2``) gives another network without a message. Here such a key is an error.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.importers.darknet.sections import Section

_EVERY_LAYER = frozenset(
    [
        "burnin_update",
        "clip",
        "dont_update",
        "dontload",
        "dontloadscales",
        "dontsave",
        "learning_rate",
        "onlyforward",
        "smooth",
        "stopbackward",
        "train_only_bn",
        "truth",
    ]
)
_NET = frozenset(
    [
        "B1",
        "B2",
        "adam",
        "adversarial_lr",
        "angle",
        "aspect",
        "attention",
        "augment_speed",
        "badlabels_reject_threshold",
        "badlabels_rejection_percentage",
        "batch",
        "batches_cycle_mult",
        "batches_per_cycle",
        "blur",
        "burn_in",
        "center",
        "channels",
        "clip",
        "contrastive",
        "contrastive_color",
        "contrastive_jit_flip",
        "cutmix",
        "decay",
        "delta_rolling_avg",
        "delta_rolling_max",
        "delta_rolling_std",
        "dynamic_minibatch",
        "ema_alpha",
        "eps",
        "equidistant_point",
        "exposure",
        "flip",
        "gamma",
        "gaussian_noise",
        "height",
        "hue",
        "init_sequential_subdivisions",
        "inputs",
        "label_smooth_eps",
        "learning_rate",
        "learning_rate_min",
        "letter_box",
        "loss_scale",
        "max_batches",
        "max_chart_loss",
        "max_crop",
        "max_ratio",
        "min_crop",
        "min_ratio",
        "mixup",
        "momentum",
        "mosaic",
        "mosaic_bound",
        "noadjust",
        "notruth",
        "num_sigmas_reject_badlabels",
        "num_steps",
        "optimized_memory",
        "policy",
        "power",
        "rand_crop",
        "random",
        "resize_step",
        "saturation",
        "scale",
        "scales",
        "seq_scales",
        "sequential_subdivisions",
        "step",
        "steps",
        "subdivisions",
        "time_steps",
        "track",
        "try_fix_nan",
        "unsupervised",
        "use_cuda_graph",
        "weights_reject_freq",
        "width",
        "workspace_size_limit_MB",
    ]
)
_LAYERS = {
    "convolutional": """activation angle antialiasing assisted_excitation batch_normalize bin_output
        binary deform dilation dot filters flipped grad_centr groups pad padding reverse rotate
        share_index size stream stretch stretch_sway stride stride_x stride_y sway
        use_bin_output wait_stream xnor""",
    "dropout": "dropblock dropblock_size_abs dropblock_size_rel probability",
    "maxpool": "antialiasing maxpool_depth out_channels padding size stride stride_x stride_y",
    "route": "group_id groups layers stream",
    "shortcut": "activation alpha assisted_excitation beta from weights_normalization weights_type",
    "upsample": "scale stride",
    "yolo": """anchors beta_nms classes cls_normalizer counters_per_class delta_normalizer
        dets_for_show dets_for_track embedding_layer focal_loss ignore_thresh iou_loss
        iou_normalizer iou_thresh iou_thresh_kind jitter label_smooth_eps map mask max max_delta
        new_coords nms_kind num obj_normalizer objectness_smooth random resize scale_x_y
        show_details sim_thresh track_ciou_norm track_history_size truth_thresh""",
}
_ALIASES = {"conv": "convolutional", "max": "maxpool", "network": "net"}
KEYS = {"net": _NET} | {
    name: frozenset(words.split()) | _EVERY_LAYER for name, words in _LAYERS.items()
}
"""Section name to every key that it may hold."""


def check_keys(section: Section) -> None:
    """Raise `CfgError` naming the first key that Darknet does not know, and the nearest one."""
    known = KEYS[_ALIASES.get(section.name, section.name)]
    for key, (_, line) in section.values.items():
        if key in known:
            continue
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
        raise section.error(
            f"the key {key} (line {line}) is not known"
            + (f"; the nearest known key is {near[0]}" if near else ""),
            f"correct it to {near[0]}, or remove the line" if near else "remove the line",
        )
