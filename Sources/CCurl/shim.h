// libcurl's setopt and getinfo are variadic, which Swift cannot call: one typed inline wrapper for each argument type.
#ifndef NADI_CCURL_SHIM_H
#define NADI_CCURL_SHIM_H
#include <curl/curl.h>

static inline CURLcode nadi_curl_setopt_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode nadi_curl_setopt_off(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode nadi_curl_setopt_pointer(CURL *handle, CURLoption option, const void *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode nadi_curl_setopt_write(CURL *handle, CURLoption option,
                                              size_t (*value)(char *, size_t, size_t, void *)) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode nadi_curl_setopt_seek(CURL *handle, CURLoption option, int (*value)(void *, curl_off_t, int)) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode nadi_curl_getinfo_long(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLcode nadi_curl_getinfo_pointer(CURL *handle, CURLINFO info, void **value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLMcode nadi_curl_multi_setopt_long(CURLM *handle, CURLMoption option, long value) {
    return curl_multi_setopt(handle, option, value);
}
#endif
