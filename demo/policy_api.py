"""The REST routes around the policy: read it, simulate a change of it, see what that would do."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.access import guarded
from demo.policies import CURRENT, POLICY_ID, VERSION, Proposal, Rules, Simulation, policy


class Simulations:
    """The simulations that were started, by id: `sim-0001` is the first."""

    def __init__(self) -> None:
        self._known: dict[str, Simulation] = {}

    def start(self, rules: Rules) -> Simulation:
        """A new one with these rules."""
        simulation = Simulation(f"sim-{len(self._known) + 1:04}", rules)
        self._known[simulation.id] = simulation
        return simulation

    def get(self, key: str) -> Simulation | None:
        """The one called `key`."""
        return self._known.get(key)


def routes() -> list[Route]:
    """All of them; each asks for the token."""
    one = "/api/simulations/{simulation}"
    return [
        Route("/api/policies/{policy}", guarded(_policy)),
        Route("/api/simulations", guarded(_propose), methods=["POST"]),
        Route(one, guarded(_of_simulation(_poll))),
        Route(f"{one}/result", guarded(_of_simulation(_result))),
        Route(f"{one}/groups/{{group}}", guarded(_of_simulation(_group))),
    ]


async def _policy(request: Request) -> Response:
    if request.path_params["policy"] != POLICY_ID:
        return _error(404, f"there is no policy {request.path_params['policy']!r}")
    return JSONResponse(policy())


async def _propose(request: Request) -> Response:
    try:
        proposal = Proposal.model_validate_json(await request.body())
        rules = Rules.model_validate({**CURRENT.model_dump(), **proposal.change})
    except ValidationError as error:
        return JSONResponse({"errors": _problems(error)}, status_code=400)
    if proposal.base_version != VERSION:
        return _error(409, f"the policy is at version {VERSION}, not {proposal.base_version}")
    simulation = request.app.state.simulations.start(rules)
    where = {"Location": f"/api/simulations/{simulation.id}"}
    return JSONResponse(simulation.state(), status_code=202, headers=where)


def _of_simulation(answer: Callable[[Request, Simulation], Response]) -> Callable[[Request], Any]:
    async def route(request: Request) -> Response:
        key = request.path_params["simulation"]
        simulation = request.app.state.simulations.get(key)
        if simulation is None:
            return _error(404, f"there is no simulation {key!r}")
        return answer(request, simulation)

    return route


def _poll(_request: Request, simulation: Simulation) -> Response:
    return JSONResponse(simulation.poll())


def _result(_request: Request, simulation: Simulation) -> Response:
    if not simulation.done:
        return _error(409, f"simulation {simulation.id!r} is still running")
    return JSONResponse(simulation.result())


def _group(request: Request, simulation: Simulation) -> Response:
    if not simulation.done:
        return _error(409, f"simulation {simulation.id!r} is still running")
    try:
        return JSONResponse(simulation.group(request.path_params["group"]))
    except KeyError:
        return _error(404, f"group {request.path_params['group']!r} is not affected")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _problems(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in error.errors()]
