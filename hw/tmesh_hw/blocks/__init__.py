"""Arithmetic blocks, each a stream component usable alone.

Every block accepts one transaction on stream `i`, answers on stream `o` in order, and stalls on
either side without loss. It forwards `carry` (data of any shape) unchanged beside the result. It
has `latency` (cycles from the accepted input to the valid output, no stalls) and `model()` (the
same result as integers). Two take a matrix entry by entry: `PartialTraces`, and `EntrywiseMac`,
which does not stall: its owner gives what there is room for. `Kronecker`, `OperatorMac` and
`PartialTrace` are for whole matrices; the gossip datapath uses the blocks that take entries.
`BlockMemory` alone has ports, not streams.
"""

from .block_memory import BlockMemory
from .complex_multiply import ComplexMultiply
from .cordic import Cordic
from .entropy import Entropy
from .entrywise_mac import EntrywiseMac
from .kronecker import Kronecker
from .normalise import Normalise
from .operator_mac import OperatorMac
from .partial_trace import PartialTrace
from .partial_traces import PartialTraces
from .pauli_lane import PauliLane
from .queue import Queue
from .quotient import Quotient
from .reciprocal import Reciprocal
from .rounded_product import RoundedProduct
from .square_root import SquareRoot
from .stream_register import StreamRegister

__all__ = [
    "BlockMemory",
    "ComplexMultiply",
    "Cordic",
    "Entropy",
    "EntrywiseMac",
    "Kronecker",
    "Normalise",
    "OperatorMac",
    "PartialTrace",
    "PartialTraces",
    "PauliLane",
    "Queue",
    "Quotient",
    "Reciprocal",
    "RoundedProduct",
    "SquareRoot",
    "StreamRegister",
]
