"""What training draws the network to, beside the labels."""

from torch import Tensor

from heed.model.nn.network import Output


def attention_loss(found: Output, labels: Tensor) -> Tensor:
    """Cross-entropy from the contributions to the attention: look at what speaks for the label.

    target[t] = max(0, c[t]) / sum_s max(0, c[s]) with c the contributions to the right label, less
    their mean over the labels. The target is held fixed: attention follows the contributions, which
    follow the labels.
    """
    spread = found.contributions.detach()
    right = labels[:, None, None].expand(-1, spread.shape[1], 1)
    speaks = (spread.gather(2, right).squeeze(2) - spread.mean(dim=2)).clamp(min=0)
    target = speaks / speaks.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return -(target * found.attention.clamp(min=1e-9).log()).sum(dim=1).mean()


def distillation_loss(predicted: Tensor, token_targets: Tensor, given: Tensor) -> Tensor:
    """Mean square of what hints (B, T, H) differ by from those guessed, where given (B, T)."""
    apart = (predicted - token_targets).square().mean(dim=2)
    return (apart * given).sum() / given.sum().clamp(min=1)
