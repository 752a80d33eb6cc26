"""Makes expected.txt: what numpy and scikit-learn say of a few samples.

    python Tests/Fixtures/references/make.py > Tests/Fixtures/references/expected.txt

needs numpy 2 and scikit-learn 1.9. One line for each name: the name, then numbers that read back exactly.
"""
import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

random = np.random.default_rng(20260101)


def out(name, values):
    print(name, *[repr(float(value)) for value in np.ravel(values)])


def edges_of(values):
    # numpy's inverted_cdf with k n / 50 in whole numbers: 0.14 * 400 is 56.00000000000001.
    quantiles = [np.sort(values)[-(-k * len(values) // 50) - 1] for k in range(1, 50)]
    edges = set(quantiles) | {values.min(), np.nextafter(values.max(), np.inf)}
    distinct, counts = np.unique(values, return_counts=True)
    points = distinct if len(distinct) <= 50 else distinct[counts > 0.01 * len(values)]
    for point in points:
        edges |= {point, np.nextafter(point, np.inf)}
    return np.array(sorted(edges))


def groups_of(counts):
    total = counts.sum()
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    tenth = np.minimum(9, np.floor(10 * (before + counts / 2) / total)).astype(int)
    held = sorted(set(tenth[counts > 0]))
    last, groups = None, []
    for count, group in zip(counts, tenth):
        if count > 0:
            last = held.index(group)
        groups.append(last if last is not None else 0)
    return groups


samples = {
    "normal": random.normal(3, 2, 500),
    "ties": np.concatenate([np.zeros(300), random.integers(1, 6, 100).astype(float), random.normal(0, 3, 100)]),
    "lognormal": random.lognormal(0, 3, 777),
    "offset": 1e9 + random.normal(0, 1, 400),
    "two": random.integers(0, 2, 201).astype(float),
    "codes": random.integers(0, 40, 600).astype(float) * 1.5 - 7,
}
for name, values in samples.items():
    out(f"{name}.values", values)
    edges = edges_of(values)
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    out(f"{name}.edges", edges)
    out(f"{name}.counts", counts)
    out(f"{name}.deciles", groups_of(counts))
    exact = np.array(values, dtype=np.longdouble)
    out(f"{name}.mean", [exact.mean()])
    out(f"{name}.m2", [((exact - exact.mean()) ** 2).sum()])

places = np.sort(random.random(60))
means = np.clip(places + random.normal(0, 0.2, 60), 0, 1)
weights = random.integers(1, 30, 60).astype(float)
isotonic = IsotonicRegression().fit(places, means, sample_weight=weights)
at = np.linspace(-0.2, 1.2, 41)
out("isotonic.places", places)
out("isotonic.means", means)
out("isotonic.weights", weights)
out("isotonic.at", at)
out("isotonic.values", isotonic.predict(np.clip(at, places[0], places[-1])))

score = np.round(random.random(400), 2)
label = (random.random(400) < score**2).astype(int)
predicted = (score >= 0.5).astype(int)
out("binary.scores", score)
out("binary.labels", label)
out("binary.accuracy", [accuracy_score(label, predicted)])
out("binary.precision", [precision_score(label, predicted)])
out("binary.recall", [recall_score(label, predicted)])
out("binary.f1", [f1_score(label, predicted)])
out("binary.roc_auc", [roc_auc_score(label, score)])
distinct = score + np.arange(400) * 1e-9
ranked = np.argsort(distinct, kind="stable")
error = sum(abs(distinct[part].sum() - label[part].sum()) for part in np.array_split(ranked, 10)) / 400
out("binary.distinct", distinct)
out("binary.error", [error])

classes = random.integers(0, 4, 300)
raw = random.random((300, 4)) + 1.2 * np.eye(4)[classes]
probability = raw / raw.sum(axis=1, keepdims=True)
answer = probability.argmax(axis=1)
out("classes.labels", classes)
out("classes.predicted", answer)
for number in range(4):
    out(f"classes.scores{number}", probability[:, number])
out("classes.accuracy", [accuracy_score(classes, answer)])
out("classes.precision", [precision_score(classes, answer, average="macro", zero_division=0)])
out("classes.recall", [recall_score(classes, answer, average="macro", zero_division=0)])
out("classes.f1", [f1_score(classes, answer, average="macro", zero_division=0)])
out("classes.roc_auc", [roc_auc_score(classes, probability, multi_class="ovr", average="macro")])

baseline = np.array([50, 0, 7, 100, 43.0])
current = np.array([20, 3, 0, 90, 12.0])
p = (baseline + 0.5) / (baseline.sum() + 2.5)
q = (current + 0.5) / (current.sum() + 2.5)
out("psi.baseline", baseline)
out("psi.current", current)
out("psi.value", [((p - q) * np.log(p / q)).sum()])
