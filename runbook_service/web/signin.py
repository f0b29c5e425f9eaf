"""The sign-in page: a token becomes a session of this browser."""

from html import escape
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from runbook_service.identities.tokens import (
    SESSION_HOURS,
    TokenError,
    authenticate,
    close_session,
    open_session,
)
from runbook_service.web.door import COOKIE
from runbook_service.web.refusals import watched

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in · Runbook Engine</title>
<meta name="viewport" content="width=device-width"><style>
body {{ font: 16px system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh;
  color: #1d2433 }}
main {{ width: 24rem }} h1 {{ font-size: 1.4rem }} label {{ display: block; margin: 1rem 0 .3rem }}
input {{ box-sizing: border-box; width: 100%; padding: .6rem; border: 1px solid #98a2b3;
  border-radius: .4rem }}
button {{ margin-top: 1rem; padding: .6rem 1.2rem; border: 0; border-radius: .4rem; background: #1d4ed8;
  color: #fff; font: inherit }} .wrong {{ color: #b42318 }} p {{ color: #475467 }}
</style><main><h1>Runbook Engine</h1>{wrong}<form method="post" action="/sign-in">
<input type="hidden" name="next" value="{next}"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form><p>A token is made with <code>rb token create</code>.</p></main></html>"""

MAX_FORM = 8192
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
}


def signin_routes(engine: Engine) -> list[Route]:
    """The page, and the way out."""

    async def show(request: Request) -> Response:
        return _page(request.query_params.get("next", "/"))

    async def enter(request: Request) -> Response:
        body = (await request.body())[:MAX_FORM]
        form = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=5))
        target = _inside(form.get("next", "/"))
        try:
            identity = await run_in_threadpool(authenticate, engine, form.get("token", "").strip())
        except TokenError as wrong:
            seconds = watched(request).wait()
            if seconds:
                told = f"too many refused tokens from here: wait {seconds} seconds"
                page = _page(target, told, status=429)
                page.headers["Retry-After"] = str(seconds)
                return page
            await run_in_threadpool(watched(request).refused, wrong.message)
            return _page(target, wrong.message, status=401)
        session = await run_in_threadpool(open_session, engine, identity)
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=SESSION_HOURS * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def leave(request: Request) -> Response:
        await run_in_threadpool(close_session, engine, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return [
        Route("/sign-in", show, methods=["GET"]),
        Route("/sign-in", enter, methods=["POST"]),
        Route("/sign-out", leave, methods=["POST"]),
    ]


def _page(target: str, wrong: str = "", *, status: int = 200) -> HTMLResponse:
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    text = _PAGE.format(wrong=told, next=escape(_inside(target), quote=True))
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


def _inside(target: str) -> str:
    """The path on this server, never another one's."""
    parts = urlsplit(target)
    good = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc
    return target if good else "/"
