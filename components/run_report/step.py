"""The step's declaration."""

from components.step import Step

STEP = Step(
    "RunReport",
    after="AppExporter",
    code=("components.run_report.component",),
    files=(
        "components/run_report/templates/charts.svg.jinja",
        "components/run_report/templates/data.html.jinja",
        "components/run_report/templates/explanation.html.jinja",
        "components/run_report/templates/page.html.jinja",
        "components/run_report/templates/ranking.html.jinja",
        "components/run_report/templates/report.html.jinja",
        "components/run_report/templates/style.css",
        "components/run_report/templates/tuning.html.jinja",
    ),
    on_cluster_only=True,
    # Before the first push there is no baseline, and a model that is refused is not pushed.
    optional_inputs=("baseline_model", "pushed_model", "tuning"),
    shown_outputs={"report": "system.HTML", "metrics": "system.Metrics"},
)
