"""What all tables share: the names of constraints, and two types."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, MetaData, TypeDecorator
from sqlalchemy.types import TypeEngine

Id = BigInteger().with_variant(Integer, "sqlite")


class _Json(TypeDecorator[Any]):
    """JSON, on PostgreSQL JSONB. A variant would load PostgreSQL's dialect, a tenth of `status`, for SQLite too."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return super().load_dialect_impl(dialect)
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))


#: `labels ->> 'name'` reads it on both databases
Json = _Json(none_as_null=True)

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)
