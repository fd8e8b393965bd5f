"""`speedlimits verify`: whether all files of a run, study or recording are what was written."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits.cli.text import say
from speedlimits.errors import RunFolderError
from speedlimits.runs.verification import verify


@dataclass(frozen=True)
class VerifyCommand:
    """Check every file of a run, study or recording folder, by the digests of what was written."""

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of a run, with noise or without, of a study, or of a recording."""
    json: bool = False
    """Print one JSON object."""

    def __call__(self) -> None:
        """Check, and print a line for each problem.

        Raises:
            RunFolderError: if there is one.
        """
        found = verify(self.directory)
        if self.json:
            print(json.dumps({"directory": str(self.directory), **asdict(found)}))
        else:
            for line in (*found.problems, *found.remarks):
                say(line)
        sys.stdout.flush()
        if found.problems:
            count = len(found.problems)
            raise RunFolderError(f"{self.directory}: {count} problem{'s' if count > 1 else ''} found.")
        if not self.json:
            say(f"{self.directory}: no problem; {found.files} files are what was written.")
