"""Auxiliary losses: attention guidance and token-level distillation."""

from torch import Tensor

from heed.model.nn.network import Output


def attention_loss(output: Output, labels: Tensor) -> Tensor:
    """Return the cross-entropy of the attention against the tokens that support the label.

    target[t] = max(0, c[t]) / sum_s max(0, c[s]), where c is the contribution to the true label
    minus the mean contribution over all labels. The target is detached: the attention follows the
    contributions, and the contributions follow the labels.

    Args:
        output: of the network in training.
        labels: (B,) indices of the true labels.
    """
    contributions = output.contributions.detach()
    index = labels[:, None, None].expand(-1, contributions.shape[1], 1)
    of_label = contributions.gather(2, index).squeeze(2)
    support = (of_label - contributions.mean(dim=2)).clamp(min=0)
    target = support / support.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return -(target * output.attention.clamp(min=1e-9).log()).sum(dim=1).mean()


def distillation_loss(predicted: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error of predicted token targets.

    Args:
        predicted: (B, T, H).
        targets: (B, T, H).
        mask: (B, T), True where a token has a target.
    """
    errors = (predicted - targets).square().mean(dim=2)
    return (errors * mask).sum() / mask.sum().clamp(min=1)
