"""Damaged files at every reader: each is read or refused in a sentence, within memory and time.

    python -m tests.fuzz --count 200

A file that breaks the rule is kept below ``--keep`` and named.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from stad_lite.errors import StadError
from stad_lite.records import Annotations, Predictions
from stad_lite.records.document import to_document
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import Reader, readers
from tests.limits import LIMITED

SECONDS = 120
"""For one file; on an idle machine it takes a thousandth of that."""


def main() -> int:
    """Try so many damages of every reader's files; 1 where one broke the rule."""
    parser = argparse.ArgumentParser(description="Read damaged files.")
    parser.add_argument("--count", type=int, default=200, help="damages for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="folder for what is found")
    options = parser.parse_args()
    exec(LIMITED)
    warnings.simplefilter("ignore")
    broken, tried = 0, 0
    for name, reader in readers().items():
        if options.only in name:
            broken += _all_of(name, reader, options)
            tried += options.count
    print(f"{tried} damaged files, {broken} of them broke the rule (seed {options.seed})")
    return 1 if broken else 0


def _all_of(name: str, reader: Reader, options: argparse.Namespace) -> int:
    broken = 0
    with tempfile.TemporaryDirectory() as place:
        sound = Path(place, "sound")
        sound.mkdir()
        reader.make(sound)
        reader.read(sound)  # a sound file is read
        for number in range(options.count):
            chance = random.Random(f"{options.seed} {name} {number}")
            damaged = Path(shutil.copytree(sound, Path(place, "damaged")))
            file = chance.choice(sorted(path for path in damaged.rglob("*") if path.is_file()))
            file.write_bytes(mutated(file.read_bytes(), chance))
            told = _outcome(reader, damaged)
            if told:
                broken += 1
                kept = options.keep / f"{name.replace(' ', '-')}-{options.seed}-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(damaged, kept)
                print(f"{name}, damage {number}, kept in {kept}:\n{told}", flush=True)
            shutil.rmtree(damaged)
    return broken


def _outcome(reader: Reader, folder: Path) -> str:
    """What was wrong with the way a damaged file was met; nothing where it was right."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        found = reader.read(folder)
        if isinstance(found, Annotations | Predictions):  # sound: it can be written
            json.dumps(to_document(found), allow_nan=False)
    except StadError as error:
        return "" if str(error) and len(str(error)) < 2000 else f"a sentence of {len(str(error))} letters"
    except Exception:
        return traceback.format_exc(limit=-4)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return ""


if __name__ == "__main__":
    sys.exit(main())
