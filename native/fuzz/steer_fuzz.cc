// libFuzzer's target for the packet path in user space: any bytes are tables and a row of frames (input.h), and what holds for all frames is checked for
// each. Built and run by `npm run fuzz -- --packets` (test/fuzz/packets.ts), with the address and the undefined-behaviour sanitizer.
#include <string_view>

#include "others.h"
#include "replies.h"
#include "variants.h"

namespace rainfront::fuzz {

namespace {

View& theView() {
  static View view;
  return view;
}

// The frame at `now_ns`, at a node that has seen the ones before. `twin` has seen the same, with other rubbish in its memory.
void checkFrame(const InputFrame& given, Home& home, Home& twin, View& view) {
  const Bytes& frame = given.bytes;
  const Home before = home;
  const Outcome outcome = home.steer(frame, context.now_ns, 0x00);
  const Outcome again = twin.steer(frame, context.now_ns, 0xff);
  context.verdict = outcome.verdict;
  require(home.isUnchanged, "steering does not change the frame");
  require(isSame(outcome.verdict, again.verdict) && outcome.reply == again.reply, "the same frame has the same verdict");
  checkVerdict(outcome.verdict, frame, home, view);
  checkReply(outcome, frame, home, view);
  checkVariants(outcome, frame, before, view);
  checkQuoted(frame, given.quoted, before);
  checkKernelGuard(frame, home, view);
  checkOffload(frame);
}

}  // namespace

}  // namespace rainfront::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using rainfront::fuzz::Plant;
  const char* text = std::getenv("RF_FUZZ_PLANT");
  const std::string_view word = text == nullptr ? "" : text;
  rainfront::fuzz::plant = word == "overread" ? Plant::overread : word == "circle" ? Plant::circle : Plant::none;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rainfront::fuzz;
  Input input = readInput({data, size});
  View& view = theView();
  view.become(input);
  Home home(view, input.self);
  Home twin(view, input.self);
  uint64_t now_ns = rainfront::test::kVectorNow_ns;
  for (std::size_t number = 0; number < input.frames.size(); number++) {
    InputFrame& frame = input.frames[number];
    now_ns += frame.after_ns;
    if (frame.mend) mendIcmpv6(frame.bytes);
    context = {&input, &frame.bytes, number, now_ns, {}};
    checkFrame(frame, home, twin, view);
  }
  return 0;
}
