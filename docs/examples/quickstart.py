# %% [markdown]
# # Quickstart: one data resource from schema to export
# Open in an editor that knows cells, or run as it is, against a site such as the demo city's (`make demo`):
#
#     GOVOPEN_SITE=http://127.0.0.1:8000 GOVOPEN_RESOURCE=<id> GOVOPEN_KEY=gok_… python docs/examples/quickstart.py
#
# Without a key it reads an open resource.

# %%
import os
import tempfile
from pathlib import Path

from govopen_client import ApiError, Client

SITE = os.environ.get("GOVOPEN_SITE", "http://127.0.0.1:8000")
RESOURCE = os.environ["GOVOPEN_RESOURCE"]
KEY = os.environ.get("GOVOPEN_KEY") or None
FOLDER = Path(os.environ.get("GOVOPEN_FOLDER") or tempfile.mkdtemp())

site = Client(SITE, key=KEY, language="en")
data = site.dataset(RESOURCE)

# %% What may I have?
schema = data.schema()
print(schema["title"], schema["access"])
columns = [field["name"] for field in schema["fields"] if field["available"]]
for field in schema["fields"]:
    print(f"  {field['name']:<20} {field['type']:<10} {field['title']}  {field['mask'] or ''}")

# %% The first rows: one metered call under a grant
rows = list(data.rows(columns=columns, page_rows=5, most=5))
for row in rows:
    print(row)

# %% Everything as a file
done = data.download(FOLDER / "all.csv", columns=columns)
print(done.path, done.size, "bytes, SHA-256", done.sha256)

# %% Everything as a table
try:
    table = data.arrow(columns=columns)
    print(table.num_rows, "rows;", table.schema.names)
except ImportError:
    print("pyarrow is not installed")

# %% Some rows by key, and one that is not there
if rows:
    key = columns[0]
    found = data.lookup(key, [rows[0][key]], columns=columns)
    print(len(found.items), "found,", len(found.not_found), "not")

# %% A file made in the background, for large restricted requests
if KEY:
    job = data.export(format="parquet", columns=columns)
    print(job.state.id, job.state.state, job.state.rows_total, "rows reserved")
    done = job.wait(every_s=0.5).download(FOLDER / "all.parquet")
    print(done.path, done.size, "bytes, verified:", done.verified)
    job.delete()

# %% A refusal says why, and what to do about it
try:
    data.arrow(columns=["no_such_field"])
except ApiError as fault:
    print(fault.code, "–", fault.detail, "–", fault.next)

site.close()
