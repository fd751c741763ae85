"""Why a job is there that nobody submitted: what its `reason` says."""

#: it stands for a run of another tool: it was never queued, and nobody can measure it again
IMPORTED = "imported"
#: a run was disturbed, and is measured again
DISTURBED = "contaminated"
#: a run made a change suspected, which is to be confirmed
CONFIRMATION = "confirmation"
