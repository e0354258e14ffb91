"""What a publish call leaves behind: nothing."""

import gc
import weakref

from choreo.message import Message
from choreo_kafka.receipt import Receipt, accept


async def test_what_was_published_is_gone_with_its_call_and_waits_for_no_collector() -> None:
    class Seen(Message):
        """One that can be watched."""

    message = Seen("orders", b"{}")
    watched = weakref.ref(message)
    receipt = Receipt([message])
    gc.disable()
    try:
        accept([(receipt, 0)])
        receipt.raise_unless_accepted()
        receipt.close()
        del receipt, message

        assert watched() is None
    finally:
        gc.enable()


async def test_a_word_that_comes_too_late_keeps_nothing_either() -> None:
    receipt = Receipt([Message("orders", b"{}")])
    watched = weakref.ref(receipt.done)
    gc.disable()
    try:
        receipt.close()
        accept([(receipt, 0)])
        del receipt

        assert watched() is None
    finally:
        gc.enable()
