"""How alike texts are, by the libraries that define the measures.

    python test/reference/graders.py > test/fixtures/golden/graders.json

Needs sacrebleu 2.6.0, rouge-score 0.1.2, rapidfuzz 3.14.6 and nltk 3.10.4.
"""

import json
import random

from nltk.translate.gleu_score import sentence_gleu
from rapidfuzz import fuzz
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

rouge_types = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_3": "rouge3", "rouge_4": "rouge4", "rouge_5": "rouge5",
    "rouge_l": "rougeL"}
scorer = RougeScorer(list(rouge_types.values()), use_stemmer=False)
bleu = BLEU(effective_order=True)

pairs = [
    ("", ""), ("", "a word"), ("a word", ""), ("a", "a"), ("a", "b"),
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the the the the", "the cat is on the mat"),
    ("The quick brown fox jumps over the dog.", "The quick brown fox jumped over the lazy dog."),
    ("It costs $3,000.50, i.e. 20-30% more (or so).", "It costs $3000.50; that is 20 - 30 % more, or so!"),
    ("He said &quot;yes&quot; &amp; left.", 'He said "yes" & left.'),
    ("well-\nknown facts\nin two lines", "wellknown facts in two lines"),
    ("Zürich liegt an der Limmat, nicht am Rhein.", "Zürich liegt nicht am Rhein, sondern an der Limmat."),
    ("日本語 の 文 です", "日本語 の 文章 です"),
    ("emoji 😀 here", "emoji 😁 here"),
    ("snake_case and kebab-case, v1.2.3 `code` ~ [x] {y} <skipped>", "snake case and kebab case v1.2.3 code x y"),
    ("trailing space   ", "trailing space"),
    ("one two three four five six seven", "seven six five four three two one"),
    ("1,5 2.5 .5 5. a.b,c", "1,5 2.5 0.5 5 a.b,c"),
]
words = "the a cat dog, sat. on Mat in 3.5 10 rain-coat not's and (of) to it".split()
generator = random.Random(7)
for _ in range(60):
    line = [generator.choice(words) for _ in range(generator.randint(1, 25))]
    other = [word if generator.random() < 0.7 else generator.choice(words) for word in line]
    other = other[: generator.randint(1, len(other))] + [generator.choice(words)
        for _ in range(generator.randint(0, 4))]
    pairs.append((" ".join(other), " ".join(line)))

cases = []
for text, reference in pairs:
    rouge = scorer.score(reference, text)
    cases.append({
        "text": text,
        "reference": reference,
        "fuzzy_match": fuzz.ratio(text, reference) / 100,
        "bleu": bleu.sentence_score(text, [reference]).score / 100,
        "gleu": float(sentence_gleu([reference.split()], text.split())),
        **{name: rouge[key].fmeasure for name, key in rouge_types.items()},
    })
print(json.dumps(cases, ensure_ascii=False, indent=1))
