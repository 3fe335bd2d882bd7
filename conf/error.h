// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

// How Crossover refuses. Every failure that ends a command is one CniError: a code of the CNI specification (or one of
// ours, from 100 on), a stable lower-case phrase to group by, and details for the person on the node.
namespace conf {

/// Error codes. 1-99 belong to the CNI specification (1.1.0, "Error"); 8 and 999 are the reference implementation's;
/// from 100 on they are ours.
enum class Code : unsigned {
  kIncompatibleVersion = 1,
  kUnsupportedField = 2,
  kUnknownContainer = 3,
  kInvalidEnvironment = 4,
  kIo = 5,
  kDecode = 6,
  kInvalidConfig = 7,
  kInvalidNetns = 8,
  kTryAgainLater = 11,
  kNotAvailable = 50,
  kLimitedConnectivity = 51,
  kAttachmentExists = 100,  ///< an ADD for what already has a record, or whose interface is already there
  kDelegateMissing = 101,   ///< a plugin of the list is in no directory of CNI_PATH
  kDelegateBroken = 102,    ///< a plugin crashed, or printed what is not CNI
  kDelegateTimeout = 103,   ///< a plugin did not finish within timeouts.delegate
  kState = 104,             ///< a record or the lock file below stateDir is of no use (a disk that fails is code 5)
  kBusy = 105,              ///< another call for the same attachment did not finish within timeouts.lock
  kOvertaken = 106,         ///< a DEL arrived while the ADD ran; the ADD undid itself
  kInternal = 999,
};

class CniError : public std::exception {
 public:
  /// `msg` and `details` must never hold a configuration or an argument's value that may be secret.
  CniError(Code code, std::string msg, std::string details = {});
  /// A delegate's own code, passed on as it came: it need not be one of `Code`.
  CniError(unsigned code, std::string msg, std::string details);

  [[nodiscard]] unsigned code() const { return code_; }
  [[nodiscard]] const std::string& msg() const { return msg_; }
  [[nodiscard]] const std::string& details() const { return details_; }
  /// "msg: details", for people.
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  unsigned code_;
  std::string msg_;
  std::string details_;
  std::string text_;
};

/// The error as the specification wants it on stdout: one JSON object with cniVersion, code, msg and, if any, details.
[[nodiscard]] std::string error_json(const CniError& error, std::string_view cni_version);

/// Reads the error a plugin printed. Nothing if `text` is not such an object (a JSON object with a number in `code`).
[[nodiscard]] std::optional<CniError> parse_error_json(std::string_view text);

/// A failed system call as one error: "operation object: errno's text". Avoids the two phrases that containerd takes
/// for success on DEL ("not found", "no such file or directory": go-cni cni.go Remove), whatever errno says.
[[nodiscard]] CniError system_error(Code code, std::string_view operation, std::string_view object, int error_number);

/// `text` with those two phrases replaced ("no such file or directory" -> "no such path", "not found" -> "absent"),
/// whatever their case; for texts of others that end up in our DEL errors.
[[nodiscard]] std::string without_swallowed_phrases(std::string_view text);

}  // namespace conf
