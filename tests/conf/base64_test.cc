// SPDX-License-Identifier: Apache-2.0
#include "conf/base64.h"

#include <doctest/doctest.h>

#include <string>

TEST_SUITE("conf.base64") {
  TEST_CASE("bytes of every length come back") {
    std::string bytes;
    for (unsigned i = 0; i < 300; ++i) {
      CAPTURE(i);
      CHECK(conf::from_base64(conf::to_base64(bytes)) == bytes);
      bytes += static_cast<char>(i * 7 % 256);
    }
    CHECK(conf::to_base64("a") == "YQ==");
    CHECK(conf::to_base64("ab") == "YWI=");
    CHECK(conf::to_base64("\xff\xef") == "/+8=");
  }

  TEST_CASE("white space is ignored, and what is no such text is nothing") {
    CHECK(conf::from_base64("") == "");
    CHECK(conf::from_base64("YW\nJj") == "abc");
    for (const char* bad : {"Y", "YQ", "YQ=", "Y===", "Y=Q=", "YQ==YQ==", "a-b_", "!!!!"}) {
      CAPTURE(bad);
      CHECK_FALSE(conf::from_base64(bad));
    }
  }
}
