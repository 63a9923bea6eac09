"""What threads do for each other within compiled code, without the GIL: count, meet, share a task.

A team is an array of numbers that its threads watch. Its first one, the word, says which task is
announced, how many may enter it beside its caller, whether it is closed, and how many have entered:

    task << 32 | limit << 16 | closed << 15 | entered

Who enters does so by one atomic exchange of the word, so that a thread that comes late, when the
caller has done all there was to do and has closed the task, finds the door shut: nobody waits for
it. Where the parts of a task wait for each other its caller closes it first, and they begin when
they know how many they are. A task is a compiled function and its arguments in its caller's frame;
where the function is 0 it is Python's (see `threads`).
"""

import os
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nnspec.accel.arrays import Array
from nnspec.accel.jit import ATTRIBUTES, config, helper, kernel, lean_helper

# how often a thread looks before it gives its processor to others, how often until it sleeps, and
# how often it gives way, some 10 µs, until its caller has let go of the GIL that both need
LOOKS, PATIENCE, PAUSE = 500, 2000, 20
# numbers of a cache line
LINE = 8
CLOSED, LIMIT, TASK = 1 << 15, 1 << 16, 1 << 32
# a team's numbers: the word, how many have left the task, what it is, how many have come for it
LEFT, FUNCTION, ARGUMENTS, CAME = 8, 16, 17, 18


def new_team() -> Array:
    """A team without a task."""
    return np.zeros(24, np.int64)


def new_counter(count: int = 1) -> Array:
    """What `meet` counts in, or a roll of tickets for `take`: lines of the cache for themselves."""
    return np.zeros(count * LINE, np.int64)


# for who waits for nobody: never written to
NOBODY = new_counter()
NOTHING = NOBODY[:0]


def new_tickets(count: int) -> Array:
    """A roll for `take_after`: none where one thread does all."""
    return new_counter() if count > 1 else NOTHING


def _address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return context.make_array(signature.args[0])(context, builder, args[0]).data


def _add(typingctx: Any, counter: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature, args)
        return builder.atomic_rmw("add", address, args[1], "acq_rel")

    return types.int64(counter, types.int64), emit


def _value(typingctx: Any, counter: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature, args), "acquire", 8)

    return types.int64(counter), emit


def _exchange(typingctx: Any, counter: Any, old: Any, new: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature, args)
        pair = builder.cmpxchg(address, args[1], args[2], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)

    return types.boolean(counter, types.int64, types.int64), emit


if config.DISABLE_JIT:  # there is one thread

    def _arrive(counter: Array, number: int) -> int:
        """The counter becomes so much more; what it was."""
        counter[0] += number
        return int(counter[0]) - number

    def _arrived(counter: Array) -> int:
        """What the counter is."""
        return int(counter[0])

else:
    _arrive, _arrived = intrinsic(_add), intrinsic(_value)

_swap: Any = intrinsic(_exchange)
_give_way: Any = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)


def _convention(context: Any) -> Any:
    """The type of a task's function: of Numba's own convention, so that it may call Numba's."""
    return context.call_conv.get_function_type(types.none, (types.voidptr, types.intp))


def _task_of(function: Any) -> Any:
    """An intrinsic: the addresses of a task that calls this helper, and of the arguments."""

    def outline(typingctx: Any, arguments: Any) -> Any:
        kind = typingctx.resolve_value_type(function)
        call = typingctx.resolve_function_type(kind, (types.intp, *arguments), {})

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            name = builder.module.get_unique_name("task")
            task = ir.Function(builder.module, _convention(context), name)
            task.linkage = "internal"
            set.add(task.attributes, ATTRIBUTES)
            inner = ir.IRBuilder(task.append_basic_block("entry"))
            *_, place, part = task.args
            # in the frame of the caller, who outlasts the task
            held = cgutils.alloca_once_value(builder, args[0])
            values = inner.load(inner.bitcast(place, held.type))
            each = [inner.extract_value(values, k) for k in range(len(arguments))]
            implementation = context.get_function(kind, call)
            context.add_linking_libs(getattr(implementation, "libs", ()))
            implementation(inner, [part, *each])
            context.call_conv.return_value(inner, context.get_dummy_value())
            addresses = [builder.ptrtoint(each, ir.IntType(64)) for each in (task, held)]
            return context.make_tuple(builder, signature.return_type, addresses)

        return types.UniTuple(types.int64, 2)(arguments), emit

    return intrinsic(outline)


def _call(typingctx: Any, function: Any, arguments: Any, part: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _convention(context)
        result, error, place, _ = kind.args
        room = [cgutils.alloca_once(builder, each.pointee) for each in (result, error)]
        task = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(task, [*room, builder.inttoptr(args[1], place), args[2]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.intp), emit


_do: Any = intrinsic(_call)


@lean_helper
def look_again(looks: int) -> int:
    """One more after so many looks in vain; somebody else has the processor of who is awaited."""
    if looks > LOOKS:
        _give_way()
    return looks + 1


@lean_helper
def wait(counter: Array, wanted: int) -> None:
    """Until the counter has come so far."""
    looks = 0
    while _arrived(counter) < wanted:
        looks = look_again(looks)


@lean_helper
def meet(barrier: Array, count: int) -> None:
    """Wait until all `count` threads have come here as often as this one."""
    if count > 1:
        wait(barrier, (_arrive(barrier, 1) // count + 1) * count)


@lean_helper
def _announce(team: Array, function: int, arguments: int, limit: int) -> None:
    """A new task, when all have left the last one."""
    team[FUNCTION], team[ARGUMENTS], team[CAME], team[LEFT] = function, arguments, 0, 0
    word = _arrived(team)
    _swap(team, word, (word // TASK + 1) * TASK + limit * LIMIT)


@lean_helper
def _close(team: Array) -> None:
    """Let nobody enter from now on, and wait for who has."""
    wait(team[LEFT:], _arrive(team, CLOSED) % CLOSED)


@lean_helper
def _gather(team: Array, count: int, looks: int) -> int:
    """Let nobody enter after so many looks, or when `count` have come; how many have."""
    while looks > 0 and _arrived(team) % CLOSED < count - 1:
        looks -= 1
        if looks % LOOKS == 0:
            _give_way()
    came = _arrive(team, CLOSED) % CLOSED + 1
    _arrive(team[CAME:], came)
    return int(came)


@lean_helper
def take(tickets: Array) -> int:
    """0, 1, 2 …: each number once, whichever of the threads asks."""
    return int(_arrive(tickets, 1))


@lean_helper
def take_after(last: int, tickets: Array) -> int:
    """`take`; or without any tickets, where one thread does all, the number after the last."""
    return take(tickets) if tickets.size else last + 1


@lean_helper
def done_of(queue: Array) -> int:
    """How much of a queue is done."""
    return int(_arrived(queue) // 2)


@lean_helper
def seize(queue: Array, done: int) -> bool:
    """Have a queue of which so much is done for oneself, if nobody has it."""
    return bool(_swap(queue, 2 * done, 2 * done + 1))


@lean_helper
def let_go(queue: Array, more: int) -> None:
    """Let others have the queue, of which so much more is done."""
    _arrive(queue, 2 * more - 1)


@lean_helper
def mark(counter: Array) -> None:
    """Count one more, for who looks or waits."""
    _arrive(counter, 1)


@lean_helper
def marked(counter: Array) -> bool:
    """Whether anything has been counted."""
    return _arrived(counter) > 0


def shared(function: Any) -> Any:
    """A helper (team, count, arguments): function(part, *arguments) by up to `count` threads.

    Part 0 is done here, the others by who comes in time, if anybody: the function, a helper too,
    shares its work by `take`, and waits for nobody but for who has taken some.
    """
    task_of = _task_of(function)

    @helper
    def in_parallel(team: Array, count: int, arguments: tuple[Any, ...]) -> None:
        if count > 1:
            task, place = task_of(arguments)
            _announce(team, task, place, count - 1)
        function(0, *arguments)
        if count > 1:
            _close(team)

    return in_parallel


def gathered(function: Any) -> Any:
    """A helper (team, count, looks, arguments): function(part, came, *arguments) by all who come.

    They may wait for each other: nobody begins before it is settled how many have come. They have
    time for so many looks.
    """

    @lean_helper
    def enter(part: int, team: Array, arguments: tuple[Any, ...]) -> None:
        wait(team[CAME:], 1)
        function(part, _arrived(team[CAME:]), *arguments)

    task_of = _task_of(enter)

    @helper
    def together(team: Array, count: int, looks: int, arguments: tuple[Any, ...]) -> None:
        came = 1
        if count > 1:
            task, place = task_of((team, arguments))
            _announce(team, task, place, count - 1)
            came = _gather(team, count, looks)
        function(0, came, *arguments)
        if count > 1:
            wait(team[LEFT:], came - 1)

    return together


@kernel
def announce(team: Array, limit: int) -> None:
    """A task of Python's for so many beside the caller."""
    _announce(team, 0, 0, limit)


@kernel
def all_left(team: Array, limit: int) -> None:
    """Wait until so many have done their parts."""
    wait(team[LEFT:], limit)


@kernel
def serve(team: Array, last: int, finished: bool) -> tuple[bool, int]:
    """Do compiled tasks after the last one; whether Python's came within patience, and the word.

    That the last one is finished is said here, where the GIL is free for the caller to go on.
    """
    if finished:
        _arrive(team[LEFT:], 1)
    looks = 0
    while looks < PATIENCE:
        word = _arrived(team)
        if word // TASK == last:
            looks += 1
            if looks > LOOKS:
                _give_way()
        elif word % LIMIT >= word // LIMIT % LIMIT:  # closed, or full
            last = word // TASK
        elif _swap(team, word, word + 1):
            last, looks = word // TASK, 0
            if team[FUNCTION] == 0:
                for _ in range(PAUSE):
                    _give_way()
                return True, word
            _do(team[FUNCTION], team[ARGUMENTS], word % LIMIT + 1)
            _arrive(team[LEFT:], 1)
    return False, last * TASK
