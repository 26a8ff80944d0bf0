"""Every route of the admin API."""

from farthing.server.admin.resources import keys
from farthing.server.admin.routes import Table

ADMIN_TABLE = Table(keys.ROUTES)
