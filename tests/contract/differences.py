"""Intended differences of the client's models from CircleCI's document, with the reasons.

Numbers are sections of ../shared/API-FACTS.md, next to the document, which describes the real behaviour of the API.

These differences are general, and therefore not listed. A value that may be null may be missing (5). An array or a map
may be missing (5), and so may a page token (3). An enum is a text, because values are added (5).
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["ADDED", "DIFFERENCES", "LEFT_OUT", "MAY_BE_MISSING", "NOT_MODELLED", "NULL_IS_EMPTY", "TYPED_OTHERWISE"]

LEFT_OUT: Final = "in the document, and no field of the model"
ADDED: Final = "a field of the model, and not in the document"
MAY_BE_MISSING: Final = "required by the document, and not by the model"
NULL_IS_EMPTY: Final = "null in the document, and an empty array in the model"
TYPED_OTHERWISE: Final = "of another type"

NOT_MODELLED: Final = {
    "None.message": "says in words that something was done: the method returns None, which says the same",
    "None.id": "of an allow-list entry that was deleted: the caller has just given it",
    "ContextEnvVar.message": "of the other form of an answer, which only confirms: the model stays empty then",
    "Page.total_count": "a page of any list is its items and the next token, and the pager brings all items",
}


@attrs.frozen
class Difference:
    """Fields that differ in the same way, the operations that return them, and the facts behind it."""

    what: str
    operations: str
    fields: str
    facts: str


# Many fields have no more than this behind them.
_NOT_RELIED_ON: Final = (
    "5: the document's `required` has been seen broken in most families, and Server is older than the document; none "
    "of these is needed to know what the thing is, so a service must not stop for it"
)

# Nor these: they describe the thing, and its id or its name still identifies it.
_NAMES_NOTHING: Final = (
    "5: null or missing costs a reader this one value, not the item, nor its page: what names the item stays required"
)

_PIPELINES: Final = (
    "pipelines.get pipelines.get_by_number pipelines.list pipelines.list_for_project pipelines.list_mine"
)
_SCHEDULES: Final = "schedules.create schedules.get schedules.list schedules.update"
_WEBHOOKS: Final = "webhooks.create webhooks.get webhooks.list webhooks.update"
_SUMMARIES: Final = "insights.get_org_summary insights.get_project_summary"

DIFFERENCES: Final = (
    # --- missing or null though the document requires it
    Difference(
        MAY_BE_MISSING,
        _PIPELINES,
        "Pipeline.trigger PipelineTrigger.received_at PipelineTrigger.actor PipelineActor.login "
        "PipelineVcs.provider_name PipelineVcs.origin_repository_url PipelineVcs.target_repository_url",
        "5, pipeline: GitHub App, GitLab and decoupled runs tell by trigger_parameters what set them off; what the "
        "document requires instead is absent or a dummy",
    ),
    Difference(MAY_BE_MISSING, "pipelines.get_config", "PipelineConfig.source PipelineConfig.compiled", _NOT_RELIED_ON),
    Difference(
        MAY_BE_MISSING,
        "pipelines.list_workflows workflows.get",
        "Workflow.id Workflow.started_by",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "workflows.list_jobs",
        "WorkflowJob.started_at WorkflowJob.project_slug",
        "5, workflow job: an approval has no time of start, and lacks what else belongs to a job that runs",
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.get",
        "Job.started_at Job.queued_at JobProject.id",
        "5, job details: null while the job has not run; the project comes without its id",
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.get",
        "Job.created_at Job.executor Job.latest_workflow Job.number Job.organization Job.parallelism Job.pipeline "
        "Job.project Job.web_url JobExecutor.resource_class JobProject.external_url JobWorkflow.id",
        _NOT_RELIED_ON + "; 10: the same model reads a job by id, of which no document tells",
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.list_tests",
        "JobTest.classname JobTest.file JobTest.name JobTest.run_time JobTest.source",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "users.list_collaborations",
        "Collaboration.avatar_url",
        "5, user: avatar_url may be missing",
    ),
    Difference(
        MAY_BE_MISSING,
        "contexts.list_env_vars",
        "ContextEnvVar.variable ContextEnvVar.context_id ContextEnvVar.created_at ContextEnvVar.updated_at",
        "5, context variable: the same model reads the answer to setting one, which need not tell anything of it",
    ),
    Difference(MAY_BE_MISSING, "contexts.create contexts.get contexts.list", "Context.created_at", _NOT_RELIED_ON),
    Difference(
        MAY_BE_MISSING,
        "organizations.create_url_orb_allow_list_entry",
        "CreatedUrlOrbAllowListEntry.message",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "projects.create_checkout_key projects.get_checkout_key projects.list_checkout_keys",
        "CheckoutKey.created_at CheckoutKey.preferred",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "projects.create_env_var projects.get_env_var projects.list_env_vars",
        "EnvVar.value",
        "5, project variable: values are never returned, only a masked rest",
    ),
    Difference(
        MAY_BE_MISSING,
        "projects.create projects.get",
        "Project.vcs_info ProjectVcs.default_branch ProjectVcs.provider ProjectVcs.vcs_url",
        "2: of a standalone project there is no repository to tell of, only CircleCI's own ids",
    ),
    Difference(
        MAY_BE_MISSING,
        _SCHEDULES,
        "Schedule.actor Schedule.created_at Schedule.updated_at Timetable.per_hour",
        "5, schedules: no true answer is on record, and sources disagree about their form",
    ),
    Difference(
        MAY_BE_MISSING,
        _WEBHOOKS,
        "Webhook.signing_secret Webhook.created_at Webhook.scope Webhook.updated_at Webhook.verify_tls "
        "WebhookScope.type",
        "5 and 6, webhooks: keys sent in the wrong spelling are dropped silently, and a secret can be deleted",
    ),
    Difference(
        MAY_BE_MISSING,
        "usage.create_export",
        "UsageExport.end UsageExport.start",
        "6, usage export: the same model reads an export's later states, which do not repeat the range",
    ),
    Difference(
        MAY_BE_MISSING,
        _SUMMARIES,
        "SummaryMetrics.p95_duration_secs SummaryMetrics.success_rate SummaryMetrics.throughput "
        "SummaryMetrics.total_credits_used SummaryMetrics.total_duration_secs SummaryTrends.p95_duration_secs "
        "SummaryTrends.success_rate SummaryTrends.throughput SummaryTrends.total_credits_used "
        "SummaryTrends.total_duration_secs SummaryTrends.total_runs",
        "5, insights: a project's throughput is null; one model reads the figures of organizations, projects, "
        "workflows and branches, of which each lacks some",
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_project_summary",
        "ProjectBranchSummary.branch",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_workflow_summary",
        "WorkflowSummaryMetrics.throughput WorkflowSummaryMetrics.window_end WorkflowSummaryMetrics.window_start "
        "WorkflowTrends.failed_runs WorkflowTrends.median_duration_secs WorkflowTrends.mttr "
        "WorkflowTrends.p95_duration_secs WorkflowTrends.success_rate WorkflowTrends.throughput "
        "WorkflowTrends.total_credits_used WorkflowTrends.total_runs",
        "5, insights: without runs there are no durations and no recovery, hence no trends of them either",
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.list_workflow_metrics insights.list_job_metrics insights.list_job_timeseries",
        "WorkflowMetrics.project_id WorkflowRunMetrics.throughput JobRunMetrics.throughput "
        "JobRunMetrics.total_credits_used JobTimeseries.max_ended_at JobTimeseries.min_started_at "
        "JobTimeseriesMetrics.median_credits_used JobTimeseriesMetrics.throughput "
        "JobTimeseriesMetrics.total_credits_used",
        "5, insights: what cannot be computed is null, and the figures that nobody keeps up any more may go",
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.list_workflow_runs",
        "WorkflowRun.branch WorkflowRun.credits_used WorkflowRun.is_approval",
        _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_flaky_tests insights.get_test_metrics insights.get_branches",
        "FlakyTest.job_number FlakyTest.pipeline_number FlakyTest.workflow_created_at FlakyTest.workflow_id "
        "MeasuredTest.flaky MeasuredTestRun.success_rate ProjectBranches.org_id ProjectBranches.project_id "
        "WorkflowTestMetrics.average_test_count WorkflowTestMetrics.most_failed_tests_extra "
        "WorkflowTestMetrics.slowest_tests_extra WorkflowTestMetrics.total_test_runs",
        "5, insights: a flaky test came without what is required of it; " + _NOT_RELIED_ON,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_flaky_tests",
        "FlakyTest.job_name FlakyTest.times_flaked FlakyTest.workflow_name FlakyTests.total_flaky_tests",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_org_summary",
        "OrgProjectSummary.metrics OrgProjectSummary.trends OrgSummary.org_data",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_org_summary insights.get_project_summary",
        "SummaryMetrics.total_runs SummaryTotals.metrics SummaryTotals.trends",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_project_summary",
        "ProjectBranchSummary.metrics ProjectBranchSummary.trends ProjectWorkflowSummary.metrics "
        "ProjectWorkflowSummary.trends",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_test_metrics",
        "MeasuredTest.failed_runs MeasuredTest.job_name MeasuredTest.total_runs MeasuredTestRun.pipeline_number "
        "MeasuredTestRun.test_counts ResultCounts.error ResultCounts.failure ResultCounts.skipped "
        "ResultCounts.success ResultCounts.total",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.get_workflow_summary",
        "WorkflowSummary.metrics WorkflowSummary.trends WorkflowSummaryMetrics.duration_metrics "
        "WorkflowSummaryMetrics.failed_runs WorkflowSummaryMetrics.success_rate "
        "WorkflowSummaryMetrics.successful_runs WorkflowSummaryMetrics.total_runs",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.list_job_metrics",
        "JobMetrics.metrics JobMetrics.window_end JobMetrics.window_start JobRunMetrics.duration_metrics "
        "JobRunMetrics.failed_runs JobRunMetrics.success_rate JobRunMetrics.successful_runs "
        "JobRunMetrics.total_runs",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.list_job_timeseries",
        "JobTimeseries.metrics JobTimeseriesMetrics.duration_metrics JobTimeseriesMetrics.failed_runs "
        "JobTimeseriesMetrics.successful_runs JobTimeseriesMetrics.total_runs",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "insights.list_workflow_metrics",
        "WorkflowMetrics.metrics WorkflowMetrics.window_end WorkflowMetrics.window_start "
        "WorkflowRunMetrics.duration_metrics WorkflowRunMetrics.failed_runs WorkflowRunMetrics.success_rate "
        "WorkflowRunMetrics.successful_runs WorkflowRunMetrics.total_runs",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.get",
        "Job.status JobMessage.message JobMessage.type JobOrganization.name JobPipeline.id JobProject.name "
        "JobProject.slug JobWorkflow.name ParallelRun.status",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.list_artifacts",
        "Artifact.node_index",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "jobs.list_tests",
        "JobTest.result",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "oidc.delete_org_claims oidc.delete_project_claims oidc.get_org_claims oidc.get_project_claims "
        "oidc.update_org_claims oidc.update_project_claims",
        "Claims.org_id",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "organizations.create",
        "Organization.vcs_type",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "organizations.list_url_orb_allow_list",
        "UrlOrbAllowListEntry.auth UrlOrbAllowListEntry.prefix",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "pipelines.get pipelines.get_by_number pipelines.list pipelines.list_for_project pipelines.list_mine",
        "Pipeline.project_slug Pipeline.state PipelineError.message PipelineError.type PipelineTrigger.type",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "pipelines.list_workflows workflows.get",
        "Workflow.created_at Workflow.name Workflow.pipeline_id Workflow.pipeline_number Workflow.project_slug "
        "Workflow.status",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "pipelines.trigger",
        "TriggeredPipeline.created_at TriggeredPipeline.state",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "policies.get_decision policies.list_decisions policies.make_decision",
        "PolicyViolation.reason PolicyViolation.rule",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "projects.create projects.get",
        "Project.id Project.organization_id Project.organization_name Project.organization_slug Project.slug",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "projects.create_checkout_key projects.get_checkout_key projects.list_checkout_keys",
        "CheckoutKey.public_key CheckoutKey.type",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "schedules.create schedules.get schedules.list schedules.update",
        "Schedule.project_slug Schedule.timetable",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "schedules.create schedules.get schedules.list schedules.update users.get users.me",
        "User.login User.name",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "usage.create_export usage.get_export",
        "UsageExport.state",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "users.list_collaborations",
        "Collaboration.slug Collaboration.vcs_type",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "webhooks.create webhooks.get webhooks.list webhooks.update",
        "Webhook.url WebhookScope.id",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "workflows.list_jobs",
        "WorkflowJob.status WorkflowJob.type",
        _NAMES_NOTHING,
    ),
    Difference(
        MAY_BE_MISSING,
        "workflows.rerun",
        "Rerun.workflow_id",
        _NAMES_NOTHING,
    ),
    Difference(
        ADDED,
        "triggers.create triggers.get triggers.list triggers.update",
        "Trigger.description Trigger.name Trigger.parameters",
        "6, triggers: schedule triggers have them",
    ),
    # --- on the wire, and not in the document
    Difference(
        ADDED,
        "contexts.create contexts.get contexts.list",
        "Context.environment_variables Context.org_id Context.restrictions",
        "6, contexts: reading one context nowadays brings them along",
    ),
    Difference(
        ADDED,
        "contexts.list_env_vars contexts.set_env_var",
        "ContextEnvVar.truncated_value",
        "5, context variable: the bare end of the value",
    ),
    Difference(
        ADDED,
        "contexts.create_restriction",
        "ContextRestriction.context_id",
        "6, contexts: the same model as in the list of restrictions, where the document has it",
    ),
    Difference(
        ADDED,
        "triggers.create triggers.get triggers.list triggers.update",
        "EventSource.schedule",
        "6, triggers: there are providers beyond the document, `schedule` among them",
    ),
    Difference(
        ADDED,
        "workflows.list_jobs",
        "WorkflowJob.created_at",
        "5, workflow job: recorded, though undeclared",
    ),
    Difference(
        ADDED,
        "insights.get_workflow_summary insights.list_job_metrics insights.list_workflow_metrics",
        "DurationMetrics.total_duration JobRunMetrics.median_credits_used WorkflowRunMetrics.median_credits_used",
        "5, insights: still answered, and always 0",
    ),
    Difference(
        ADDED,
        "insights.get_org_summary",
        "SummaryMetrics.p95_duration_secs SummaryTrends.p95_duration_secs",
        "6, insights: one model for the figures of organizations, projects, workflows and branches",
    ),
    Difference(
        ADDED,
        "usage.create_export usage.get_export",
        "UsageExport.end UsageExport.error_reason UsageExport.start",
        "6, usage export: one model for an export from its creation to its end",
    ),
    # --- read otherwise
    Difference(
        NULL_IS_EMPTY,
        "insights.get_org_summary",
        "OrgSummary.all_projects",
        "6, insights: names only; no names and none are the same to who reads them",
    ),
)
