"""The report's closing chapter: how each figure is made, in words.

Room: training; text only.
"""

from __future__ import annotations

METHODS = """
<ul>
<li><b>Intervals</b>: 95 % percentile bootstrap; whole patients are drawn with replacement, because
joints of one patient are alike. A film whose name tells of no patient is its own. A figure that is
the same in every patient (100 % everywhere) has an interval without width: that is no proof that
the next patient is like them.</li>
<li><b>Balanced accuracy</b>: mean over the true grades present of the share graded right; within
one: or one grade off. Figures are of scored joints; &#8220;missing wrong&#8221; counts a joint
without a grade as wrong, unless its film is too small to be scored.</li>
<li><b>Quadratic kappa</b>: Cohen&#8217;s kappa with squared differences as weights. <b>Mean
error</b>: mean absolute difference in grades.</li>
<li><b>AUC</b>: area under the receiver operating curve of the expected grade, true grade 0 against
1 and more; ties count half.</li>
<li><b>Calibration</b>: ten bins of equal width. <b>ECE</b>: mean distance between probability said
and share that is true, weighted by the joints in a bin. Any damage: the probability of 1 and more.
Grade given: the probability of the grade that was given.</li>
<li><b>AP50, AP75</b>: area under the interpolated precision-recall curve of the boxes that were
reported, at an overlap (intersection over union) of .5 and .75; mean over the limb&#8217;s two
classes. Labels that give joint centres alone get square boxes of the usual size.</li>
<li><b>Found</b>: a joint within .2 of MCP3-PIP3 (hand) or .1 of MTP1-MTP5 (foot) of its true
centre. <b>Complete</b>: every joint found, under its right name, as certain. <b>Certain names
wrong</b>: joints whose certain name is another joint&#8217;s, of all with a certain name.</li>
<li><b>Names from places alone</b>: true places of whole limbs, turned fingers or toes up, joints
taken away at random; the side is not told.</li>
<li><b>ICC(2,1)</b>: two-way random effects, absolute agreement, single rating (Shrout and Fleiss,
1979). <b>Limits of agreement</b>: bias &#177; 1.96 standard deviations of the differences (ours
minus true). <b>Smallest detectable change</b>: 1.96 x &#8730;2 x SEM with SEM = sd of the
differences / &#8730;2, as for two readers of equal error. Where the truth is exact (phantoms), the
error is the tool&#8217;s alone, and a change between two films must exceed &#8730;2 times it.</li>
<li><b>Baselines</b>: answering 0 to every joint, and the one answer with the highest balanced
accuracy within one.</li>
<li><b>The score</b>: partial SvH (no wrist), of 340; foot subtotals are complete SvH foot scores. A
missing joint is never a zero.</li>
</ul>
"""
