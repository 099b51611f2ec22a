// For the thread sanitizer (`.ci/sanitize thread`): images on threads, threads inside images, and a stop from outside.
// Python and torch are not built for it, so this calls the kernel directly.
#include <algorithm>
#include <cstdio>
#include <random>

#include "betti_distance.hpp"

using namespace topo;

namespace {

bool same(const Array<Pair>& a, const Array<Pair>& b) {
  const auto equal = [](const Pair& p, const Pair& q) {
    return p.dim == q.dim && p.birth == q.birth && p.death == q.death;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

template <int D>
bool threads_change_nothing(const Extent<D>& extent, bool tied, bool full, bool framed) {
  constexpr std::size_t images = 3;
  const std::size_t size = num_voxels(extent);
  std::mt19937 random(1);
  std::vector<float> values(images * size);
  for (float& value : values) value = static_cast<float>(tied ? random() % 5 : random() >> 8);

  const Filtration filtration{!full, full, framed, 7u};
  const StopFlag stop;
  Array<Pair> many[images], one[images];
  parallel_for<Scratch<D>>(images, images - 1, [&](std::size_t i, Scratch<D>& scratch) {
    many[i] = persistence_pairs<D>(values.data() + i * size, extent, filtration, 3, stop, scratch);
  });
  for (std::size_t i = 0; i < images; ++i) {
    Scratch<D> fresh;
    one[i] = persistence_pairs<D>(values.data() + i * size, extent, filtration, 1, stop, fresh);
    if (one[i].empty() || !same(many[i], one[i])) return false;
  }
  return true;
}

// Most voxels of the larger image lie on a plateau, which is found on threads.
bool threads_change_no_matching(bool full, bool framed, bool is_sparse) {
  const Extent<3> extent = is_sparse ? Extent<3>{45, 53, 57} : Extent<3>{13, 17, 19};
  std::mt19937 random(2);
  std::vector<float> prediction(num_voxels(extent)), label(prediction.size());
  for (std::size_t i = 0; i < prediction.size(); ++i) {
    if (is_sparse && random() % 30 != 0) continue;
    prediction[i] = static_cast<float>(random() % 50);
    label[i] = static_cast<float>(random() % 2 * 49);
  }
  const Filtration filtration{!full, full, framed, 7u};
  const StopFlag stop;
  const BettiMatching one = betti_matching<3>(prediction.data(), label.data(), extent, filtration, 1, stop);
  const BettiMatching three = betti_matching<3>(prediction.data(), label.data(), extent, filtration, 3, stop);
  return !one.matched.empty() && one.matched == three.matched && same(one.prediction, three.prediction) &&
         same(one.label, three.label);
}

// Large enough for threads inside the image.
bool threads_change_no_loss(bool full, bool framed) {
  const Extent<2> extent{190, 330};
  std::mt19937 random(3);
  std::vector<float> likelihood(num_voxels(extent));
  std::vector<Bit> label(likelihood.size());
  for (float& value : likelihood) value = static_cast<float>(random() % 1000) / 999;
  for (Bit& value : label) value = random() % 3 == 0;
  const DistanceSettings settings{{!full, full, framed, 3u}, Matching::spatial};
  const StopFlag stop;
  const PatchValues<float> image{likelihood.data(), label.data()};
  std::array<Features<float>, 2> of_betti, of_spatial;
  for (std::size_t run : {0, 1}) {
    BinaryScratch<2> scratch;
    of_betti[run] = betti_distance<float, 2>(image, extent, settings, 1 + 2 * run, stop, scratch).features;
    Scratch<2> fresh;
    of_spatial[run] = matched_features<float, 2>(image, extent, settings, 1 + 2 * run, stop, fresh).features;
  }
  std::size_t matched = 0;
  const auto equal = [&](const Feature<float>& a, const Feature<float>& b) {
    matched += a.is_matched;
    return a.dim == b.dim && a.birth == b.birth && a.death == b.death && a.is_matched == b.is_matched;
  };
  for (const auto& [one, three] : {of_betti, of_spatial}) {
    matched = 0;
    if (!std::equal(one.begin(), one.end(), three.begin(), three.end(), equal) || matched <= 10) return false;
  }
  return true;
}

template <class Compute>
bool stops(Compute compute) {
  StopFlag stop;
  std::thread other([&] { stop.raise(); });
  other.join();
  try {
    compute(stop);
  } catch (const StopFlag::Stopped&) {
    return true;
  }
  return false;
}

bool stops() {
  const Extent<3> extent{64, 64, 64};
  const Filtration filtration{false, true, true, 7u};
  std::vector<float> values(num_voxels(extent), 0.0f);
  values[0] = 1.0f;  // a constant image has no work to stop
  const auto pairs = [&](const StopFlag& stop) {
    Scratch<3> scratch;
    persistence_pairs<3>(values.data(), extent, filtration, 3, stop, scratch);
  };
  const auto matching = [&](const StopFlag& stop) {
    betti_matching<3>(values.data(), values.data(), extent, filtration, 3, stop);
  };
  return stops(pairs) && stops(matching);
}

}  // namespace

int main() {
  bool right = stops();
  for (bool tied : {false, true})
    for (bool full : {false, true})
      for (bool framed : {false, true}) {
        right = threads_change_nothing<2>({41, 57}, tied, full, framed) && right;
        right = threads_change_nothing<3>({13, 17, 19}, tied, full, framed) && right;
      }
  for (bool full : {false, true})
    for (bool framed : {false, true}) {
      right = threads_change_no_matching(full, framed, false) && right;
      right = threads_change_no_matching(full, framed, true) && right;
      right = threads_change_no_loss(full, framed) && right;
    }
  std::puts(right ? "threads: equal results, stopped on request" : "threads: WRONG");
  return right ? 0 : 1;
}
