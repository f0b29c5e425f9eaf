"""The page that lists the valid entities: one file, no script, nothing from elsewhere."""

from collections import Counter
from html import escape
from string import Template

from demo.entities import AS_OF, COUNT, Entity, valid_entities

_COLUMNS = 5

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Entities</title>
<style>
  * { box-sizing: border-box; margin: 0; }
  body { background: #eef1f5; color: #1c2733; padding: 24px; width: 1280px;
         font: 11px/1 "DejaVu Sans", Verdana, sans-serif; }
  #entity-list { background: #fff; border: 1px solid #d5dce5; }
  header { display: flex; align-items: center; gap: 20px; padding: 0 20px; height: 56px;
           background: #17324d; color: #fff; }
  h1 { font-size: 18px; font-weight: 700; }
  header p { color: #b9c9d9; margin-right: auto; }
  header span { display: flex; align-items: center; gap: 7px; }
  header b { font-weight: 700; }
  i { width: 8px; height: 8px; border-radius: 2px; background: var(--kind); flex: none; }
  .person { --kind: #3b82c4; }
  .organization { --kind: #d9822b; }
  .location { --kind: #3a9d6a; }
  .vehicle { --kind: #a45fb5; }
  ol { list-style: none; padding: 8px; display: grid; grid-auto-flow: column; column-gap: 8px;
       grid-template: repeat($rows, 24px) / repeat($columns, 1fr); }
  li { display: flex; align-items: center; gap: 8px; padding: 0 8px;
       border-bottom: 1px solid #edf0f4; }
  li span { flex: 1; line-height: 16px; white-space: nowrap; overflow: hidden;
            text-overflow: ellipsis; }
  li em { font-style: normal; color: #6b7a8a; width: 18px; }
  li u { width: 32px; height: 5px; border-radius: 2px; background: #e3e8ee; overflow: hidden; }
  li u::before { content: ""; display: block; height: 5px; width: var(--sure);
                 background: var(--kind); }
  li data { width: 26px; text-align: right; color: #44525f; }
  footer { padding: 0 20px; height: 32px; line-height: 32px; background: #f7f9fb; color: #6b7a8a;
           border-top: 1px solid #e3e8ee; }
</style>
</head>
<body>
<section id="entity-list">
<header><h1>Entities</h1><p>$valid valid of $all</p>$legend</header>
<ol>
$items
</ol>
<footer>Country and confidence, 0 to 1, of each entity as of $as_of. All data is invented.</footer>
</section>
</body>
</html>
""")


def render() -> str:
    """The page as HTML; the same text on every call."""
    shown = valid_entities()
    return _PAGE.substitute(
        rows=-(-len(shown) // _COLUMNS),
        columns=_COLUMNS,
        valid=len(shown),
        all=COUNT,
        legend=_legend(shown),
        items="\n".join(map(_item, shown)),
        as_of=AS_OF.isoformat(),
    )


def _legend(shown: list[Entity]) -> str:
    counts = Counter(entity["type"] for entity in shown)
    return "".join(
        f'<span class="{kind}"><i></i>{kind} <b>{count}</b></span>' for kind, count in counts.most_common()
    )


def _item(entity: Entity) -> str:
    sure = entity["confidence"]
    return (
        f'<li class="{entity["type"]}" id="{entity["id"]}" style="--sure:{sure:.0%}">'
        f"<i></i><span>{escape(entity['name'])}</span><em>{entity['country']}</em>"
        f'<u></u><data value="{sure}">{sure:.2f}</data></li>'
    )
