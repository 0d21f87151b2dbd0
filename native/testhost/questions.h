// What `observe` asks and hears, in the two languages of neighbours: ARP (RFC 826) and neighbour discovery (RFC 4861). Pure: bytes in, bytes out.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "network.h"

namespace testhost {

// A question that goes to everybody who may have the address, as the whole frame.
std::vector<uint8_t> writeQuestion(const Mac& asker, const IpAddress& source, const IpAddress& vip);

enum class Shown { answer, announcement, question };

// Somebody shows an address as his own.
struct Claim {
  Shown how;
  IpAddress address;
  Mac mac;
  // To whom: of an answer, the MAC under which it was asked for.
  Mac to;
};

// What a frame of the family says of who has which address; nothing if it says nothing of that.
std::optional<Claim> readClaim(std::span<const uint8_t> frame, bool is_ipv6);

}  // namespace testhost
