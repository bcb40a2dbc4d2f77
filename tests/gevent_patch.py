"""
Pytest plugin, loaded with `-p tests.gevent_patch`: patches sockets before anything imports ssl.

A conftest.py would be too late: plugins of other packages import ssl first, and gevent then patches only half of it.
"""

from gevent import monkey

monkey.patch_all()
