// Behaviour of the ECP5 macros that Yosys has as empty boxes only, from Lattice's documents: sysDSP
// (FPGA-TN-02205) and memory (FPGA-TN-02204). What a model does not have ends the build, where a
// parameter says so, or the run, where a signal does. Power-up is zero, and so are global resets.

// 18×18 multiplier. A register is there where its clock is CLK0, with enable CE0 and a synchronous
// RST0; signs travel with the operands. No shift chains, no C, no other clocks.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    parameter REG_INPUTA_CLK = "NONE";
    parameter REG_INPUTB_CLK = "NONE";
    parameter REG_INPUTC_CLK = "NONE";
    parameter REG_PIPELINE_CLK = "NONE";
    parameter REG_OUTPUT_CLK = "NONE";
    parameter RESETMODE = "SYNC";
    parameter MULT_BYPASS = "DISABLED";
    parameter GSR = "ENABLED";

    localparam A_REG = REG_INPUTA_CLK == "CLK0";
    localparam B_REG = REG_INPUTB_CLK == "CLK0";
    localparam PIPELINE_REG = REG_PIPELINE_CLK == "CLK0";
    localparam OUTPUT_REG = REG_OUTPUT_CLK == "CLK0";

    if (!A_REG && REG_INPUTA_CLK != "NONE") $error("REG_INPUTA_CLK");
    if (!B_REG && REG_INPUTB_CLK != "NONE") $error("REG_INPUTB_CLK");
    if (A_REG != B_REG) $error("one input register without the other");
    if (REG_INPUTC_CLK != "NONE") $error("REG_INPUTC_CLK");
    if (!PIPELINE_REG && REG_PIPELINE_CLK != "NONE") $error("REG_PIPELINE_CLK");
    if (!OUTPUT_REG && REG_OUTPUT_CLK != "NONE") $error("REG_OUTPUT_CLK");
    if (RESETMODE != "SYNC") $error("RESETMODE");
    if (MULT_BYPASS != "DISABLED") $error("MULT_BYPASS");

    wire [17:0] a = {
        A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
    };
    wire [17:0] b = {
        B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
    };
    wire [17:0] c = {
        C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0
    };
    reg signed [18:0] a_reg = 0, b_reg = 0;
    reg signed [35:0] pipeline_reg = 0, output_reg = 0;
    wire signed [18:0] a_wide = {SIGNEDA & a[17], a}, b_wide = {SIGNEDB & b[17], b};
    wire signed [18:0] a_used = A_REG ? a_reg : a_wide, b_used = B_REG ? b_reg : b_wide;
    wire signed [35:0] product = 36'(a_used * b_used);
    wire signed [35:0] piped = PIPELINE_REG ? pipeline_reg : product;

    always @(posedge CLK0) begin
        if (SOURCEA || SOURCEB || c != 0)
            $fatal(1, "MULT18X18D: shift chains and C are not modelled");
        if (RST0) begin
            a_reg <= 0;
            b_reg <= 0;
            pipeline_reg <= 0;
            output_reg <= 0;
        end else if (CE0) begin
            a_reg <= a_wide;
            b_reg <= b_wide;
            pipeline_reg <= product;
            output_reg <= piped;
        end
    end

    wire [35:0] p = OUTPUT_REG ? output_reg : piped;
    assign {
        P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
    } = p;
endmodule

// 18 432 bits, seen as words of 1 to 18 bits by each of two ports of one clock; of words below 9
// bits, each byte has eight, not nine. Port B only reads. With 36 bits, port A only writes, and data
// go through the pins of both: A has the lower half. An output register is there where REGMODE is
// OUTREG, with enable OCE. No resets, chip selects or write-through.
//
// Lattice leaves open what port B reads of a byte that port A writes in the same clock: the model
// gives the complement of what was there, so that no one can rely on it.
module DP16KD (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4, DOB3, DOB2, DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18;
    parameter DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG";
    parameter REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC";
    parameter ASYNC_RESET_RELEASE = "SYNC";
    parameter CSDECODE_A = "0b000";
    parameter CSDECODE_B = "0b000";
    parameter WRITEMODE_A = "NORMAL";
    parameter WRITEMODE_B = "NORMAL";
    parameter CLKAMUX = "CLKA";
    parameter CLKBMUX = "CLKB";
    parameter GSR = "ENABLED";
    parameter [319:0]
        INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0,
        INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0,
        INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0,
        INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
        INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0, INITVAL_18 = 0,
        INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0,
        INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
        INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0,
        INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0, INITVAL_31 = 0,
        INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0,
        INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    // Bits of 36 below the word of a port; 63 where its width is none.
    function automatic [5:0] below(input integer width, input [13:0] address);
        case (width)
            36: below = 0;
            18: below = 18 * address[4];
            9: below = 9 * address[4:3];
            4: below = 9 * address[4:3] + 4 * address[2];
            2: below = 9 * address[4:3] + 2 * address[2:1];
            1: below = 9 * address[4:3] + address[2:0];
            default: below = 63;
        endcase
    endfunction

    localparam WIDE = DATA_WIDTH_A == 36;
    localparam READ_FIRST = WRITEMODE_A == "READBEFOREWRITE";

    localparam REG_A = REGMODE_A == "OUTREG", REG_B = REGMODE_B == "OUTREG";

    if (!REG_A && REGMODE_A != "NOREG") $error("REGMODE_A");
    if (!REG_B && REGMODE_B != "NOREG") $error("REGMODE_B");
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") $error("CSDECODE");
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $error("CLKMUX");
    if (!READ_FIRST && WRITEMODE_A != "NORMAL") $error("WRITEMODE_A");
    if (WIDE != (DATA_WIDTH_B == 36)) $error("36 bits on one side alone");
    if (WIDE && REG_A != REG_B) $error("36 bits, of which half with an output register");
    if (below(DATA_WIDTH_A, 0) == 63) $error("DATA_WIDTH_A");
    if (below(DATA_WIDTH_B, 0) == 63) $error("DATA_WIDTH_B");

    localparam [20479:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    reg [35:0] words [0:511];
    initial for (int n = 0; n < 512; n++) words[n] = {INIT[40 * n + 20 +: 18], INIT[40 * n +: 18]};

    wire [17:0] di_a = {
        DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6,
        DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
    };
    wire [17:0] di_b = {
        DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6,
        DIB5, DIB4, DIB3, DIB2, DIB1, DIB0
    };
    wire [13:0] ad_a = {
        ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
        ADA0
    };
    wire [13:0] ad_b = {
        ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
        ADB0
    };

    wire [5:0] below_a = below(DATA_WIDTH_A, ad_a), below_b = below(DATA_WIDTH_B, ad_b);
    wire [3:0] bytes = DATA_WIDTH_A == 18 ? ad_a[3:0] & 4'b0011 : ad_a[3:0];
    wire [35:0] enabled = DATA_WIDTH_A < 18 ? (36'b1 << DATA_WIDTH_A) - 1
        : {{9{bytes[3]}}, {9{bytes[2]}}, {9{bytes[1]}}, {9{bytes[0]}}};
    wire [35:0] written = (WEA && CEA) ? enabled << below_a : 0;
    wire [35:0] word_a = words[ad_a[13:5]], word_b = words[ad_b[13:5]];
    wire [35:0] clash = ad_a[13:5] == ad_b[13:5] ? written : 0;
    reg [17:0] read_a = 0;
    reg [35:0] read_b = 0;
    reg [17:0] late_a = 0;
    reg [35:0] late_b = 0;

    always @(posedge CLKA) begin
        if (WEA && CEA)
            words[ad_a[13:5]] <= (word_a & ~written) | ({di_b, di_a} << below_a & written);
        if (CEA && (READ_FIRST || !WEA)) read_a <= 18'(word_a >> below_a);
        if (CEB) read_b <= (word_b ^ clash) >> below_b;
        if (OCEA) late_a <= read_a;
        if (OCEB) late_b <= read_b;
        if (RSTA || RSTB || WEB || {CSA2, CSA1, CSA0, CSB2, CSB1, CSB0} != 0)
            $fatal(1, "DP16KD: resets, chip selects and writes of port B are not modelled");
    end
    always @(posedge CLKA) begin
        if (CEB && !CLKB) $fatal(1, "DP16KD: two clocks are not modelled");
    end

    wire [17:0] one_a = REG_A ? late_a : read_a;
    wire [35:0] one_b = REG_B ? late_b : read_b;
    wire [17:0] do_a = WIDE ? one_b[17:0] : one_a, do_b = WIDE ? one_b[35:18] : one_b[17:0];
    assign {
        DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0
    } = do_a;
    assign {
        DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
    } = do_b;
endmodule
