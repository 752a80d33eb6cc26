"""Writes through the Python client what a FIFO's lines say: the commands of event-writer-probe/Commands.swift.

Arguments: directory, then NAME=VALUE: commands=FIFO (needed), host=, seal_age=, seal_bytes=, block=1.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
import nadi  # noqa: E402

options = dict(argument.split("=", 1) for argument in sys.argv[2:] if "=" in argument)
writer = nadi.EventWriter(
    sys.argv[1],
    service=options.get("service", "probe"),
    host=options.get("host"),
    seal_seconds=float(options.get("seal_age", 20)),
    seal_bytes=int(options.get("seal_bytes", 16 << 20)),
    buffer_bytes=int(options.get("buffer", 64 << 20)),
    on_full="block" if options.get("block") == "1" else "drop",
)
commands = os.open(options["commands"], os.O_RDWR | os.O_CLOEXEC)
output = 1
number = 0


def say(text):
    os.write(output, (text + "\n").encode())


def event(length=0):
    global number
    number += 1
    return writer.prediction(
        "probe", "1", prediction="x" * length, features={"number": number}, latency_seconds=0.001
    )


def read_line():
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(commands, 1)
    return line.decode().split()


def dropped():
    return sum(writer.counts["dropped"].values())


while True:
    words = read_line()
    command, count = words[0], int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    if command == "log":
        ids = [event() for _ in range(count)]
        if writer.flush():
            for identity in ids:
                say(identity)
    elif command == "append":
        before = dropped()
        for _ in range(count):
            event(int(words[2]) if len(words) > 2 else 0)
        say(f"accepted {count - dropped() + before}")
    elif command == "wrong":
        for _ in range(count):
            writer.prediction("", "1")
    elif command == "huge":
        for _ in range(count):
            writer.prediction("probe", "1", prediction="x" * (1 << 20))
    elif command == "flush":
        say("flushed" if writer.flush() else "not flushed")
    elif command == "status":
        counts = writer.counts
        say(" ".join(map(str, ["counts", counts["appended"], counts["written"], *counts["dropped"].values()])))
    elif command == "name":
        say(f"name {writer.name or '-'}")
    elif command == "fork":
        child = os.fork()
        if child:
            say(f"child {child}")
        else:
            commands = os.open(words[1], os.O_RDWR | os.O_CLOEXEC)
            output = os.open(words[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            say("forked")
    elif command == "closefds":
        for descriptor in range(3, 1024):
            if descriptor not in (commands, output):
                try:
                    os.close(descriptor)
                except OSError:
                    pass
    elif command == "chdir":
        os.chdir(words[1])
    elif command == "close":
        writer.close()
        say("closed" if not list(pathlib.Path(sys.argv[1]).glob(f"{writer.name}.lock")) else "not closed")
    elif command == "exit":
        os._exit(0)
    else:
        sys.exit(f"not a command: {command}")
    say("ok")
