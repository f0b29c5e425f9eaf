"""What goes wrong in a browser, as a reader should see it."""

import re

from playwright.async_api import Error

from step_ops.errors import ErrorType, StepError, shortened


def unopened(error: Error, place: str) -> StepError:
    """Why the page at `place` did not open."""
    code = re.search(r"net::(ERR_\w+)", error.message)
    if code is None:
        return StepError(
            ErrorType.SCREENSHOT,
            f"{place} is a download, not a page"
            if "Download" in error.message
            else f"{place} could not be opened: {first_line(error)}",
            hint="name the address of a page",
        )
    return StepError(
        ErrorType.CONNECTION,
        f"{place} could not be reached ({code[1]})",
        hint="check the address, and that its server runs and can be reached from here",
    )


def unexpected(error: Error) -> StepError:
    """Why there is no picture, when nothing that was asked of the page explains it."""
    if "crashed" in error.message or "closed" in error.message:
        return crashed()
    return StepError(ErrorType.SCREENSHOT, f"no picture: {first_line(error)}")


def crashed() -> StepError:
    """Why there is no picture, when what should have taken it is gone."""
    return StepError(
        ErrorType.SCREENSHOT,
        "the browser or its page crashed",
        hint="run it again; a browser with too little memory ends this way",
    )


def first_line(error: Error) -> str:
    """What Playwright says first, without the name of the call and without its log."""
    return shortened(error.message.partition("\n")[0].partition(": ")[2], 200) or "no reason given"
