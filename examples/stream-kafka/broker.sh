#!/usr/bin/env bash
# broker.sh DIR PORT [TOPIC ...]: one Apache Kafka broker (KRaft) with its data under DIR, on 127.0.0.1:PORT, the
# controller on the port after it. Creates the topics, each with one partition. Prints its process id once it answers;
# `kill PID` stops it. A second start on DIR goes on with its data.
#
# Needs Java 17 and, the first time, Maven. The jars are kept in $KAFKA_LIBS, by default ~/.cache/funnelpulse/kafka-libs.
# Settings in the file $KAFKA_SETTINGS, if there is one, count before those of this script.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: broker.sh DIR PORT [TOPIC ...]" >&2; exit 2; }
dir=$1 port=$2 here=$(cd "$(dirname "$0")" && pwd)
libs=${KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/funnelpulse/kafka-libs}
mkdir -p "$dir"
if [ ! -f "$libs/.complete" ]; then
    mvn -q -B -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$libs" >&2
    touch "$libs/.complete"
fi
cat > "$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
P
[ -z "${KAFKA_SETTINGS:-}" ] || cat "$KAFKA_SETTINGS" >>"$dir/server.properties"
java=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*")
if [ ! -f "$dir/data/meta.properties" ]; then
    id=$("${java[@]}" kafka.tools.StorageTool random-uuid)
    "${java[@]}" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" >&2
fi
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
# A broker that was killed may take a moment to be gone.
for _ in $(seq 50); do is_open || break; sleep 0.1; done
! is_open || { echo "port $port is in use" >&2; exit 1; }
nohup "${java[@]}" kafka.Kafka "$dir/server.properties" >"$dir/log" 2>&1 </dev/null &
pid=$!
# The port opens when the broker is ready for clients.
for _ in $(seq 300); do
    if is_open; then
        for topic in "${@:3}"; do
            "${java[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create \
                --if-not-exists --topic "$topic" --partitions 1 >&2
        done
        echo "$pid"
        exit 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
echo "the broker did not start; the end of $dir/log:" >&2
tail -n 20 "$dir/log" >&2
kill "$pid" 2>/dev/null || true
exit 1
