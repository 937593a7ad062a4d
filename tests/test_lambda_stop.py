"""A server that is told to stop while functions are at work: they finish, with its APIs, or are cut, and that is no failure of theirs."""

import json
import signal
import threading
import time

import botocore.exceptions
import pytest
from harness.functions import CALLS, Functions

# Far more than either takes; a hang is what fails.
AT_MOST = 60

pytestmark = [pytest.mark.restarts, pytest.mark.timeout(300)]

# Says that it begins, works until a time, says so.
WORKER = CALLS + '''
import time
def handler(event, context):
    send(os.environ["QUEUE"], {"begun": context.aws_request_id})
    while time.time() < event["until"]:
        time.sleep(0.1)
    send(os.environ["QUEUE"], {"done": context.aws_request_id})
    return "done"
'''


def stop(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=AT_MOST) == 0
    server.stop()


def begin(server):
    functions = Functions(server)
    queue, _ = functions.make_queue()
    function = functions.make(WORKER, queue, Timeout=900)["FunctionName"]
    # One failure would be the end of an event.
    functions.lam.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    return functions, queue, function


def test_what_finishes_in_time_finishes_with_the_server_at_its_side(make_server):
    server = make_server()
    functions, queue, function = begin(server)
    payload = json.dumps({"until": time.time() + 4})
    functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
    begun = functions.taken(queue, 1)[0]["begun"]
    stop(server)
    server.start()
    assert Functions(server).taken(queue, 1) == [{"done": begun}]


def test_what_does_not_is_cut_and_runs_again(make_server):
    server = make_server(args=["--stop-timeout", "2"])
    functions, queue, function = begin(server)
    told = []

    def wait():
        try:
            told.append(functions.lam.invoke(FunctionName=function, Payload=json.dumps({"until": time.time() + 600})))
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            told.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    functions.taken(queue, 1)
    functions.lam.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"until": time.time() + 600}))
    begun = functions.taken(queue, 1)[0]["begun"]
    stop(server)
    waiting.join(AT_MOST)
    assert isinstance(told[0], Exception), told
    server.start()
    # A failure would have been the end of it.
    assert Functions(server).taken(queue, 1) == [{"begun": begun}]
