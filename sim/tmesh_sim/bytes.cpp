// C entry points around a Verilated top that talks in bytes: over a serial line, if ports.h defines
// DIVISOR, the clocks of a bit; else over AXI4-Streams.
#include <cstdint>
#include <memory>

#include "Vtmesh.h"
#include "ports.h"
#include "verilated.h"
#ifdef TRACE_HEADER
#include TRACE_HEADER
#endif

namespace {

struct Source {
    const uint8_t* next;
    const uint8_t* end;
};

struct Sink {
    uint8_t* next;
    uint8_t* end;
};

struct Board {
    VerilatedContext context;
    Vtmesh top{&context};
#ifdef TRACE_HEADER
    TRACE_CLASS trace;
#endif
    int64_t quiet = 0;  // clocks since something moved
#ifdef DIVISOR
    static constexpr int64_t PATIENCE = 24 * DIVISOR;
    unsigned sending = 0, sending_left = 0, sending_clock = 0;
    unsigned receiving = 0, receiving_left = 0, receiving_clock = 0;
#else
    static constexpr int64_t PATIENCE = 64;
#endif

    void half(int clk) {
#ifdef DIVISOR
        top.clk = clk;
#else
        top.aclk = clk;
#endif
        top.eval();
#ifdef TRACE_HEADER
        trace.dump(context.time());
#endif
        context.timeInc(1);
    }

    void reset() {
#ifdef DIVISOR
        top.rx = 1;
        top.rst = 1;
#else
        top.s_axis_tvalid = 0;
        top.aresetn = 0;
#endif
        for (int clk : {0, 1, 0, 1, 0}) half(clk);
#ifdef DIVISOR
        top.rst = 0;
#else
        top.aresetn = 1;
#endif
        for (int clk : {1, 0, 1}) half(clk);
    }

#ifdef DIVISOR
    void clock(Source& in, Sink& out) {
        quiet++;
        if (!sending_left && in.next != in.end) {
            sending = 0x200u | static_cast<unsigned>(*in.next++) << 1;
            sending_left = 10;
            sending_clock = 0;
        }
        if (sending_left) {
            quiet = 0;
            top.rx = sending & 1;
            if (++sending_clock == DIVISOR) {
                sending_clock = 0;
                sending >>= 1;
                sending_left--;
            }
        } else {
            top.rx = 1;
        }
        half(0);
        half(1);
        if (!receiving_left) {
            if (!top.tx) {
                receiving_left = 10;
                receiving_clock = DIVISOR / 2;
            }
        } else if (--receiving_clock == 0) {
            // Start bit, data, stop bit, each in its middle.
            receiving = (receiving >> 1) | (top.tx ? 0x200u : 0u);
            receiving_clock = DIVISOR;
            if (--receiving_left == 0) *out.next++ = static_cast<uint8_t>(receiving >> 1);
        }
        if (receiving_left) quiet = 0;
    }
#else
    void clock(Source& in, Sink& out) {
        quiet++;
        top.s_axis_tvalid = in.next != in.end;
        if (top.s_axis_tvalid) top.s_axis_tdata = *in.next;
        top.m_axis_tready = 1;
        half(0);
        const bool accepted = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid) *out.next++ = static_cast<uint8_t>(top.m_axis_tdata);
        if (accepted || top.m_axis_tvalid) quiet = 0;
        half(1);
        in.next += accepted;
    }
#endif
};

}  // namespace

extern "C" {

void* tmesh_open(const char* trace_path) {
    auto board = std::make_unique<Board>();
#ifdef TRACE_HEADER
    board->context.traceEverOn(true);
    board->top.trace(&board->trace, 99);
    board->trace.open(trace_path);
#else
    (void)trace_path;
#endif
    board->reset();
    return board.release();
}

void tmesh_close(void* handle) {
    auto* board = static_cast<Board*>(handle);
    board->top.final();
#ifdef TRACE_HEADER
    board->trace.close();
#endif
    delete board;
}

// Runs until `cycles` clocks have passed or `room` bytes have come, or, once all `n` bytes are taken
// and some have come, until nothing moves. Returns the clocks; `taken` and `got` count bytes.
int64_t tmesh_clock(void* handle, int64_t cycles, int64_t n, const uint8_t* in, int64_t room,
                    uint8_t* out, int64_t* taken, int64_t* got) {
    auto& board = *static_cast<Board*>(handle);
    Source source{in, in + n};
    Sink sink{out, out + room};
    int64_t clocks = 0;
    while (clocks < cycles && sink.next != sink.end) {
        board.clock(source, sink);
        clocks++;
        const bool waits = source.next == source.end && board.quiet > Board::PATIENCE;
        if (waits && sink.next != out) break;
    }
    *taken = source.next - in;
    *got = sink.next - out;
    return clocks;
}

}  // extern "C"
