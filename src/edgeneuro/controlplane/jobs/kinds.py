"""The kinds of jobs. A new kind is a module with its class, a line here and a name in
domain/job.py."""

from edgeneuro.controlplane.jobs.adapter_upload import AdapterUploadKind
from edgeneuro.controlplane.jobs.clustering import ClusteringKind
from edgeneuro.controlplane.jobs.embedding_training import EmbeddingTrainingKind
from edgeneuro.controlplane.jobs.erasure import ErasureKind
from edgeneuro.controlplane.jobs.evaluation import EvaluationKind
from edgeneuro.controlplane.jobs.replay import ReplayKind
from edgeneuro.controlplane.jobs.runner import JobKind
from edgeneuro.controlplane.jobs.training import TrainingKind

KINDS: tuple[JobKind, ...] = (
    ErasureKind(),
    TrainingKind(),
    EmbeddingTrainingKind(),
    EvaluationKind(),
    EvaluationKind(name="routing_test_run", resource="routing_test_run"),
    AdapterUploadKind(),
    ReplayKind(),
    ClusteringKind(),
)
BY_NAME: dict[str, JobKind] = {kind.name: kind for kind in KINDS}
