// C entry points around a Verilated stream component: one call runs a whole batch.
//
// ports.h (generated) defines I_WIDTHS, O_WIDTHS (bits of each field), O_SIGNED, and I_WORDS,
// O_WORDS (32-bit words of each payload).
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "Vtmesh.h"
#include "ports.h"
#include "verilated.h"
#ifdef TRACE_HEADER
#include TRACE_HEADER
#endif

namespace {

struct Core {
    VerilatedContext context;
    Vtmesh top{&context};
    // A $fatal must not end the process that the library is part of.
    Core() { context.fatalOnError(false); }
#ifdef TRACE_HEADER
    TRACE_CLASS trace;
#endif
    void half(int clk) {
        top.aclk = clk;
        top.eval();
#ifdef TRACE_HEADER
        trace.dump(context.time());
        context.timeInc(1);
#endif
    }
};

void pack(const int32_t* row, uint32_t* words) {
    std::memset(words, 0, 4 * I_WORDS);
    unsigned at = 0;
    for (unsigned width : I_WIDTHS) {
        const uint64_t mask = (uint64_t{1} << width) - 1;
        const uint64_t bits = (static_cast<uint64_t>(static_cast<uint32_t>(*row++)) & mask)
                              << (at % 32);
        words[at / 32] |= static_cast<uint32_t>(bits);
        if (at % 32 + width > 32) words[at / 32 + 1] |= static_cast<uint32_t>(bits >> 32);
        at += width;
    }
}

void unpack(const uint32_t* words, int32_t* row) {
    unsigned at = 0, n = 0;
    for (unsigned width : O_WIDTHS) {
        uint64_t bits = words[at / 32];
        if (at % 32 + width > 32) bits |= static_cast<uint64_t>(words[at / 32 + 1]) << 32;
        uint32_t value = static_cast<uint32_t>(bits >> (at % 32)) &
                         static_cast<uint32_t>((uint64_t{1} << width) - 1);
        if (O_SIGNED[n] && width < 32 && (value >> (width - 1))) value |= ~uint32_t{0} << width;
        row[n++] = static_cast<int32_t>(value);
        at += width;
    }
}

}  // namespace

extern "C" {

void* tmesh_open(const char* trace_path) {
    auto core = std::make_unique<Core>();
#ifdef TRACE_HEADER
    core->context.traceEverOn(true);
    core->top.trace(&core->trace, 99);
    core->trace.open(trace_path);
#else
    (void)trace_path;
#endif
    core->top.aresetn = 0;
    for (int clk : {0, 1, 0, 1, 0}) core->half(clk);
    core->top.aresetn = 1;
    for (int clk : {1, 0, 1}) core->half(clk);
    return core.release();
}

void tmesh_close(void* handle) {
    auto* core = static_cast<Core*>(handle);
    core->top.final();
#ifdef TRACE_HEADER
    core->trace.close();
#endif
    delete core;
}

// Sends `n` rows and collects `answers` replies. Returns the clock cycles from the first input to the
// last reply, -1 when nothing moved for `patience` cycles, or -2 after a $fatal.
int64_t tmesh_run(void* handle, int64_t n, const int32_t* in, int64_t answers, int32_t* out,
                  int64_t patience) {
    auto& core = *static_cast<Core*>(handle);
    auto& top = core.top;
    const int64_t in_fields = sizeof(I_WIDTHS) / sizeof(*I_WIDTHS);
    const int64_t out_fields = sizeof(O_WIDTHS) / sizeof(*O_WIDTHS);
    uint32_t words[I_WORDS > O_WORDS ? I_WORDS : O_WORDS];
    int64_t sent = 0, received = 0, cycles = 0, quiet = 0;
    bool load = true;
    while (received < answers || sent < n) {
        top.s_axis_tvalid = sent < n;
        top.m_axis_tready = received < answers;
        if (load && sent < n) {
            pack(in + sent * in_fields, words);
            std::memcpy(&top.s_axis_tdata, words, sizeof(top.s_axis_tdata));
            load = false;
        }
        core.half(0);
        const bool accepted = top.s_axis_tvalid && top.s_axis_tready;
        const bool answered = top.m_axis_tvalid && top.m_axis_tready;
        if (answered) {
            std::memcpy(words, &top.m_axis_tdata, sizeof(top.m_axis_tdata));
            unpack(words, out + received * out_fields);
        }
        core.half(1);
        cycles++;
        sent += accepted;
        received += answered;
        load = load || accepted;
        quiet = accepted || answered ? 0 : quiet + 1;
        if (quiet > patience) return -1;
        // To ask takes a lock.
        if (cycles % 1024 == 0 && core.context.gotError()) return -2;
    }
    top.s_axis_tvalid = 0;
    return core.context.gotError() ? -2 : cycles;
}

}  // extern "C"
