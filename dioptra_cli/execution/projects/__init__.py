"""Projects from elsewhere: git repositories and archives, fetched into a cache. Runs nothing of what it fetches.

| module | owns |
|---|---|
| `addresses` | what PROJECT may be: `is_elsewhere` |
| `fetch` | the way from there to a directory: `fetch` |
| `repository`, `git` | clones, commits, and what git says when it fails |
| `archive`, `unpack`, `tar`, `zip`, `entries` | archives, of which nothing is believed |
| `revision` | local projects at a commit |
| `cache` | where all of it lies |
"""
