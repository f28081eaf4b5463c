//! A small shop under load.
//!
//! Owns: its tables, the account that reads them, the customers who buy. Does not own: who reads the log.
//!
//! Invariant: the account has the grants that the README lists, and no other, so that the demo proves them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use limpid_stack::{Session, mariadb};

/// Every table with its key and the columns that are compared, as SQL that prints them like the records do.
pub(super) const TABLES: [(&str, &[(&str, &str)]); 3] = [
    ("products", &[("id", "id"), ("name", "name"), ("price", "price"), ("stock", "stock")]),
    (
        "orders",
        &[
            ("id", "id"),
            ("customer", "customer"),
            ("status", "status"),
            ("total", "total"),
            ("placed", "timestampdiff(microsecond, '1970-01-01', placed)"),
        ],
    ),
    ("items", &[("id", "id"), ("order_id", "order_id"), ("product_id", "product_id"), ("quantity", "quantity")]),
];

pub(super) const PASSWORD: &str = "demo";

const SCHEMA: &str = "
    create database shop;
    use shop;
    create table products (id int primary key, name varchar(60) not null, price decimal(8,2) not null, stock int not null);
    create table orders (id bigint primary key, customer varchar(60) not null,
      status enum('new', 'paid', 'shipped', 'cancelled') not null, total decimal(10,2) not null, placed datetime(6) not null);
    create table items (id bigint auto_increment primary key, order_id bigint not null, product_id int not null,
      quantity smallint unsigned not null, key (order_id));
    create user limpid@'127.0.0.1' identified by 'demo';
    grant replication slave, binlog monitor on *.* to limpid@'127.0.0.1';
    grant select on shop.* to limpid@'127.0.0.1';
";

/// The shop as it was before anybody looked: its shelves, and what was bought in the past.
pub(super) fn create(server: &mariadb::Server) -> anyhow::Result<()> {
    server.sql(SCHEMA).context("make the shop")?;
    let names = "elt(1 + seq % 5, 'Tea', 'Kettle', 'Cup', 'Café au lait', '茶壺')";
    let filled = server.sql(&format!(
        "use shop; \
         insert into products select seq, concat({names}, ' no. ', seq), 1 + seq * 0.35, 1000 from seq_1_to_{PRODUCTS}; \
         insert into orders select {FIRST_PAST_ORDER} + seq, concat('customer ', seq % 97), 'shipped', seq % 500 + 0.99, \
           '2026-01-01' + interval seq minute from seq_1_to_{PAST_ORDERS}"
    ));
    filled.map(drop).context("fill the shop")
}

/// Beyond the numbers of the demo's own orders.
const FIRST_PAST_ORDER: u64 = 1_000_000_000;
const PAST_ORDERS: u64 = 20_000;

/// Products, and so many customers who buy at once.
const PRODUCTS: u64 = 50;
const CUSTOMERS: u64 = 3;

/// Between two purchases of one customer, so that a minute's records are read back by the console consumer in seconds.
const PAUSE: Duration = Duration::from_micros(2000);

/// The shop while it is open.
pub(super) struct Shop {
    closing: Arc<AtomicBool>,
    transactions: Arc<AtomicU64>,
    customers: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Shop {
    /// Lets the customers in.
    pub(super) fn open(server: &mariadb::Server) -> anyhow::Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let transactions = Arc::new(AtomicU64::new(0));
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            let session = server.session()?;
            let (closing, transactions) = (Arc::clone(&closing), Arc::clone(&transactions));
            customers.push(std::thread::spawn(move || buy(session, number, &closing, &transactions)));
        }
        Ok(Self { closing, transactions, customers })
    }

    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Lets the last customers out; returns how many transactions there were.
    pub(super) fn close(self) -> anyhow::Result<u64> {
        self.closing.store(true, Ordering::Relaxed);
        for customer in self.customers {
            customer.join().ok().context("a customer panicked")??;
        }
        Ok(self.transactions.load(Ordering::Relaxed))
    }
}

fn buy(mut session: Session, number: u64, closing: &AtomicBool, transactions: &AtomicU64) -> anyhow::Result<()> {
    session.exec("use shop")?;
    let mut order = number + 1;
    let opened = Instant::now();
    while !closing.load(Ordering::Relaxed) {
        let ahead = (PAUSE * u32::try_from(order / CUSTOMERS).unwrap_or(u32::MAX)).saturating_sub(opened.elapsed());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        session.exec(&purchase(order))?;
        transactions.fetch_add(1, Ordering::Relaxed);
        order += CUSTOMERS;
    }
    Ok(())
}

/// One transaction. The product's row is locked last and alone, so that customers wait for each other but never
/// in a circle.
fn purchase(order: u64) -> String {
    let product = 1 + order * 7 % PRODUCTS;
    let before = order.saturating_sub(60 * CUSTOMERS);
    let old = match order % 10 {
        0..3 => format!("update orders set status = 'paid' where id = {before};"),
        3..6 => format!("update orders set status = 'shipped' where id = {before};"),
        6 => format!("delete from items where order_id = {before}; delete from orders where id = {before};"),
        _ => String::new(),
    };
    format!(
        "begin; insert into orders values ({order}, concat('customer ', {order} % 97), 'new', {order} % 500 + 0.99, now(6)); \
         insert into items (order_id, product_id, quantity) values ({order}, {product}, 1), ({order}, {PRODUCTS}, 2); {old} \
         update products set stock = if(stock < 10, 1000, stock - 1) where id = {product}; commit"
    )
}
