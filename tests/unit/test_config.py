"""The configuration: what wins, and how each mistake is answered."""

from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from trainer_module.features import request_name

MINIMAL = """
name = "orders"
[source]
format = "csv"
path = "."
[label]
task = "binary"
column = "bought"
[features]
price = { kind = "numeric" }
[training]
global_batch_size = 32
[gates.auc]
min = 0.5
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "orders.toml"
    path.write_text(text)
    return str(path)


def refusal(dataset: str, *overrides: str, profile: str = "laptop") -> str:
    with pytest.raises(ConfigurationError) as caught:
        config.load(dataset, profile, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_default_dataset_loads_on_the_default_profile() -> None:
    loaded = config.load("taxi", "laptop")
    assert loaded.name == "taxi"
    assert loaded.settings.label.columns == ("tips", "fare")
    assert len(loaded.settings.numeric) + len(loaded.settings.categorical) == len(loaded.settings.features)


def test_overrides_win_over_the_profile_and_the_profile_over_the_dataset(tmp_path: Path) -> None:
    dataset = write(tmp_path, MINIMAL + "[splits]\ntrain = 5\n")
    profile = tmp_path / "mine.toml"
    profile.write_text("[training]\nepochs = 7\nlearning_rate = 0.5\n")
    loaded = config.load(dataset, str(profile), ["training.learning_rate=0.25"])
    assert loaded.settings.training.global_batch_size == 32
    assert loaded.settings.training.epochs == 7
    assert loaded.settings.training.learning_rate == 0.25
    assert loaded.splits.train == 5


def test_a_profile_extends_another(tmp_path: Path) -> None:
    (tmp_path / "lower.toml").write_text("[training]\nepochs = 7\n[beam]\ndirect_num_workers = 2\n")
    (tmp_path / "upper.toml").write_text('extends = "lower"\n[training]\nepochs = 8\n')
    loaded = config.load(write(tmp_path, MINIMAL), str(tmp_path / "upper.toml"))
    assert (loaded.settings.training.epochs, loaded.beam.direct_num_workers) == (8, 2)


def test_a_profile_of_ones_own_extends_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "workstation"\n')
    loaded = config.load(write(tmp_path, MINIMAL), str(tmp_path / "mine.toml"))
    assert loaded.settings.training.strategy == "mirrored"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["beam.runner=Flinkrunner"], "did you mean 'FlinkRunner'?"),
        (["beam.runner=x.y.Runner"], "must be one of DirectRunner, FlinkRunner, PortableRunner"),
        (["beam.runner=SparkRunner"], "SparkRunner does not work with this pipeline"),
        (["beam.runner=DataflowRunner"], "DataflowRunner does not work with this pipeline"),
        (["beam.options=['--flink_masterr=x']"], "did you mean '--flink_master'?"),
        (["beam.options=['--parallelism', '2', '3']"], "'3', which must begin with two hyphens"),
        (["beam.options=['parallelism=2']"], "'parallelism=2', which must begin with two hyphens"),
        (["beam.options=['--runner=FlinkRunner']"], "write the key runner instead"),
        ([f"beam.options={['--experiments=a'] * 50}"], "has 50 entries, and 40 are the most"),
    ],
)
def test_beams_runner_and_options_are_checked_by_name(overrides: list[str], expected: str) -> None:
    assert expected in refusal("taxi", *overrides)


def test_options_of_flink_that_only_its_job_server_declares_are_taken() -> None:
    taken = ["--object_reuse", "--parallelism", "2", "--experiments=pre_optimize=all"]
    assert config.load("taxi", "laptop", [f"beam.options={taken}"]).beam.options == tuple(taken)


def test_a_profile_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b"\n')
    (tmp_path / "b.toml").write_text('extends = "a"\n')
    assert "extends itself" in refusal(write(tmp_path, MINIMAL), profile=str(tmp_path / "a.toml"))


def test_one_way_of_giving_the_batch_size_replaces_the_other(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINIMAL), "laptop", ["training.batch_size_per_replica=8"])
    assert loaded.settings.training.batch_size_per_replica == 8
    assert loaded.settings.training.global_batch_size is None


def test_columns_that_are_called_like_batch_sizes_do_not_exclude_each_other(tmp_path: Path) -> None:
    dataset = write(tmp_path, MINIMAL.replace("price =", "batch_size_per_replica ="))
    loaded = config.load(dataset, "laptop", ["features.global_batch_size={kind='numeric'}"])
    assert [feature.name for feature in loaded.settings.features] == [
        "batch_size_per_replica",
        "global_batch_size",
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epoch=3", "[training] has no key 'epoch': did you mean 'epochs'?"),
        ("training.epochs=many", "epochs is 'many', a text; it must be a whole number."),
        ("training.epochs=true", "epochs is True, true or false; it must be a whole number."),
        ("training.epochs=0", "epochs is 0, which exports the live model again for new vocabularies"),
        ("training.learning_rate=-1", "learning_rate is -1.0"),
        ("training.strategy=fast", "strategy is 'fast'; it must be one of 'auto', 'none',"),
        ("training.workers=2", 'several workers need strategy = "multi_worker"'),
        ("training.learning_rate_scaling=linear", "global_batch_size does not grow with the replicas"),
        ("training.profile_steps=[5]", "profile_steps is [5]; give the first and the last step"),
        ("model.hidden_units=[]", "give at least one layer"),
        ("model.dropout=1.5", "dropout is 1.5; it must be in [0, 1)"),
        ("beam.direct_num_workers=-1", "direct_num_workers is -1"),
        ("splits.eval=0", "eval is 0; each split needs a share"),
        ("features.fare.kind=number", "has kind 'number'; it must be one of bucketized, categorical"),
        ("features.fare.size=3", "[features] fare has no key 'size'"),
        ("features.company.oov_buckets=0", "oov_buckets is 0"),
        ("features.tips=3", "[features] tips needs a kind"),
        ("gates.auc.minimum=1", "[gates.auc] has no key 'minimum'"),
        ("gates.accuracy.min=1", "[gates] for a binary label has no key 'accuracy'"),
        ("training.momentum=0.5", 'momentum means nothing to adam: remove it, or set optimizer = "sgd"'),
        ("evaluation.slices=['label']", "slices names 'label', which is also what the model is given"),
        ("evaluation.slices=['company', 'company']", "slices names 'company' twice: remove one."),
        (
            "evaluation.slices=[['fare', 'company'], ['company', 'fare']]",
            "slices names 'company and fare' twice: remove one.",
        ),
        ("evaluation.slices=[['fare', 'fare']]", "slices has ['fare', 'fare'], which names 'fare' twice"),
        ("app.formats=['tflite', 'dynamic']", "formats names 'dynamic' twice: remove one."),
        ("label.expression=fare / (2 - 2) > tips", "divides by zero in 'fare / (2 - 2)'"),
        ("label.expression=tips > 1 / 0", "divides by zero in '1 / 0', which has no value in any row"),
        (
            "label.expression=tips > 3e18 * 4",
            "has a number that is too large, '3e+18 * 4': use one below 2^63",
        ),
        ("gates.auc.slice_min.fare=0.5", "names the slice 'fare', which [evaluation] slices lacks"),
        ("gates.auc.max_drop=-1", "max_drop is -1.0; it must be 0 or more"),
        (
            "gates.auc.slice_max_drop.trip_start_day=-1",
            "slice_max_drop of trip_start_day is -1.0; it must be 0",
        ),
        ("gates.auc.slice_max_rise.trip_start_day=1", "allows a drop in one place and a rise in another"),
        ("gates.auc.slice_max_drop.fare=0.1", "names the slice 'fare', which [evaluation] slices lacks"),
        ("drift.action=stop", "[drift] action is 'stop'; it must be one of 'fail', 'warn', 'off'"),
        ("drift.window=0", "[drift] window is 0; it must be at least 1"),
        ("drift.label_shift=0", "label_shift is 0.0; it must be above 0 and at most 1"),
        ("training.warm_start=1", "warm_start is 1, a whole number; it must be true or false"),
        ("label.expression=tips >", "cannot be parsed"),
        ("label.column=tips", "needs either 'column' or 'expression', and not both"),
        ("source.format=xls", "format is 'xls'; it must be one of 'csv', 'parquet', 'tfrecord'"),
        ("source.pattern=v{VERSION}.csv", "{VERSION} needs a span to be a version of"),
        ("window.spans=3", "[window] needs spans: give [source] a pattern with {SPAN}"),
        ("window.spans=0", "spans is 0; it must be 1 or more"),
        ("window.missing=skip", "missing is 'skip'; it must be one of 'fail', 'warn', 'ignore'"),
        ("window.end=true", "end is True, true or false; it must be a whole number"),
        ("retention.runs=-1", "runs is -1; it must be 0 (all) or more"),
        ("nonsense.key=1", "has no key 'nonsense'"),
        ("training", "must look like section.key=value"),
        ("training.=3", "must look like section.key=value"),
    ],
)
def test_each_mistake_is_answered_in_one_sentence(override: str, expected: str) -> None:
    assert expected in refusal("taxi", override)


SPANS = "source.pattern='{YYYY}-{MM}-{DD}/*.csv'"


@pytest.mark.parametrize("end", ["2026-01-31", "'2026-01-31'"])
def test_the_end_of_a_window_is_a_date_with_or_without_quotes(end: str) -> None:
    assert config.load("taxi", "laptop", [SPANS, f"window.end={end}"]).window.end == "2026-01-31"
    assert config.load("taxi", "laptop", ["source.pattern={SPAN}.csv", "window.end=17"]).window.end == 17


def test_retention_keeps_at_least_the_window() -> None:
    message = refusal("taxi", SPANS, "window.spans=7", "retention.spans=5")
    assert "[retention] spans is 5, and the window has 7: keep at least those" in message


def test_workers_must_divide_the_global_batch() -> None:
    message = refusal("taxi", "training.strategy=multi_worker", "training.workers=3")
    assert "global_batch_size 256 cannot be divided among 3 workers: make it a multiple of 3." in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "orders"', 'name = "My Orders"', "name is 'My Orders'"),
        ('name = "orders"', "nam = 1", "has no key 'nam': did you mean 'name'?"),
        ("[gates.auc]\nmin = 0.5", "", "[gates] is empty"),
        ("[gates.auc]\nmin = 0.5", "[gates.auc]", "[gates.auc] is empty"),
        ('price = { kind = "numeric" }', "", "[features] is empty"),
        ('price = { kind = "numeric" }', 'bought = { kind = "numeric" }', "is the label column itself"),
        ('path = "."', "", "[source] lacks the required key 'path'"),
        ("global_batch_size = 32", "", "needs either 'global_batch_size' or 'batch_size_per_replica'"),
        ("price =", '"" = { kind = "numeric" }\nprice =', "has a column without a name"),
        ('column = "bought"', "", "needs either 'column' or 'expression'"),
        (
            'column = "bought"',
            'column = "bought"\nweight = "bought"',
            "[label] weight is 'bought', which is that of [label]",
        ),
        (
            'column = "bought"',
            'expression = "`bought`"\nweight = "bought"',
            "[label] weight is 'bought', which is that",
        ),
        (
            "[features]",
            '[splits]\nby = "bought"\n[features]',
            "[splits] by is 'bought', which is that of [label] already",
        ),
        (
            "[features]",
            '[splits]\ntime = "bought"\n[features]',
            "[splits] time is 'bought', which is that of [label]",
        ),
        (
            'column = "bought"',
            'column = "bought"\nweight = "count"\n[splits]\nby = "count"',
            "that of [label] weight already",
        ),
        (
            "[features]",
            '[metrics]\nauc_by = { kind = "group_auc", group = "bought" }\n[features]',
            "which is the label itself",
        ),
        ('column = "bought"', 'column = "bought"\nclasses = ["a", "a"]', "classes are of multiclass labels"),
        (
            'task = "binary"',
            'task = "multiclass"\nclasses = ["a", "a"]',
            "classes names 'a' twice: remove one.",
        ),
        ("[label]", "[label", "is not valid TOML"),
    ],
)
def test_each_mistake_in_a_dataset_file_names_the_file(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    config.load(write(tmp_path, MINIMAL), "laptop")
    message = refusal(write(tmp_path, MINIMAL.replace(old, new)))
    assert expected in message
    assert "orders.toml" in message or message.startswith("[training]")


def test_a_section_in_the_wrong_file_is_refused(tmp_path: Path) -> None:
    assert "has no key 'beam'" in refusal(write(tmp_path, MINIMAL + "[beam]\n"))
    (tmp_path / "mine.toml").write_text("[gates.auc]\nmin = 0\n")
    message = refusal(write(tmp_path, MINIMAL), profile=str(tmp_path / "mine.toml"))
    assert "mine.toml" in message and "'gates'" in message


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    assert "There is no dataset 'taxy'" in refusal("taxy")
    assert "taxi" in refusal("taxy")
    assert "laptop" in refusal("taxi", profile="latop")


def test_trap_6_beam_is_told_not_to_build_an_sdist() -> None:
    assert "--sdk_container_image=unused" in config.load("taxi", "laptop").beam.arguments()


def test_settings_survive_the_journey_to_a_step_as_json() -> None:
    settings = config.load("taxi", "laptop").settings
    assert type(settings).from_json(settings.to_json()) == settings


@pytest.mark.parametrize("profile", sorted(path.stem for path in (config.ROOT / "profiles").glob("*.toml")))
def test_every_profile_loads_with_the_default_dataset(profile: str) -> None:
    assert config.load("taxi", profile).profile == profile


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("price", "price"),
        ("unit_price", "unit_price"),
        ("2nd", "2nd"),
        ("unit price", "escaped_unit_20_price"),
        ("_id", "escaped___id"),
        ("年龄", "escaped__5e74__9f84_"),
        ("性别", "escaped__6027__522b_"),
        ("Über", "escaped__dc_ber"),
        ("a-b", "escaped_a_2d_b"),
        ("a_b c", "escaped_a__b_20_c"),
        ("escaped_a", "escaped_escaped__a"),
        ("label_classes", "escaped_label__classes"),
    ],
)
def test_names_in_requests_begin_with_a_letter_or_digit(column: str, name: str) -> None:
    """TensorFlow traces an input of any other name, and fails when the trained model is exported."""
    assert request_name(column) == name


def test_long_names_stay_different() -> None:
    names = [
        request_name("长" * 300),
        request_name("长" * 301),
        request_name("x" * 300),
        request_name("x" * 301),
    ]
    assert len(set(names)) == 4 and max(map(len, names)) == 100
