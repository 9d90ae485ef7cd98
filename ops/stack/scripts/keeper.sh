# Waits for the supervisor's end and, unless that was an orderly one, becomes the next supervisor.
#
# Usage: keeper.sh STATE COMMAND..., with the reading end of a pipe as input whose other end only the supervisor holds,
# so that its end is seen at once, whatever the reason. A shell and no Python, for it is to stay small.

state=$1
shift
while read -r _; do :; done
if grep -Eq '^ "state": "(stopping|stopped|failed)"' "$state"; then
    exit 0
fi
GOVOPEN_PART=supervisor
export GOVOPEN_PART
exec "$@" </dev/null
