"""Exit 0 if the PostgreSQL server for the tests answers and lets us make databases."""

import asyncio
import os
import sys

import asyncpg


async def main() -> int:
    url = os.environ.get("INKMETER_TEST_POSTGRES_URL", "postgresql://localhost/postgres")
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return 1
    may_create = await connection.fetchval("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()
    return 0 if may_create else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
