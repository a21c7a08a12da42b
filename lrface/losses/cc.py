"""CC: correlation congruence."""

from torch import Tensor, nn

from lrface.losses.checks import positive_int
from lrface.losses.method import Method, Outputs, Setting, embedding_sizes, method, part, zero_of


@method("cc")
class CC(Method):
    """Correlation of samples, after learned linear layers map both embeddings to ``dim`` numbers.

    Peng et al., "Correlation congruence for knowledge distillation", ICCV 2019 (arXiv 1904.01802). The reference,
    RepDistiller after the authors' code, takes the mean over neighbours in the batch of <|d_i|, |d_i+1|>, where d is the
    difference of the two embeddings; weight 0.02. The paper's Eq. 6 compares the correlation matrices of the batch:
    ``paper: true``, here with the inner product as the correlation.
    """

    needs = ("embedding",)
    weight = 0.02

    def __init__(self, setting: Setting, dim: int = 128, paper: bool = False) -> None:
        """``dim``: length of the mapped embeddings. ``paper``: mean square difference of the correlation matrices."""
        super().__init__()
        ours, theirs = embedding_sizes(setting, self.name)
        self.paper = paper
        self.student_map = nn.Linear(ours, positive_int("dim", dim))
        self.teacher_map = nn.Linear(theirs, dim)

    def loss(self, student: Outputs, teacher: Outputs, labels: Tensor, index: Tensor) -> Tensor:
        ours, theirs = self.student_map(part(student, "embedding")), self.teacher_map(part(teacher, "embedding"))
        if self.paper:
            return (ours @ ours.T - theirs @ theirs.T).square().mean()
        delta = (ours - theirs).abs()
        if len(delta) < 2:  # one sample has no neighbour
            return zero_of(ours) + zero_of(theirs)
        return (delta[:-1] * delta[1:]).sum(1).mean()
