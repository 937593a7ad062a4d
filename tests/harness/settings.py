"""The settings of the server that tests turn down, in one place: (flag, ...). `millpond serve --help` describes them."""

MAX_CONNECTIONS = "--max-connections"
MAX_IN_FLIGHT = "--max-requests"
HEADER_TIMEOUT = "--header-timeout"
BODY_TIMEOUT = "--body-timeout"
IDLE_TIMEOUT = "--idle-timeout"
